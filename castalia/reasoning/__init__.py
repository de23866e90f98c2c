"""Thinking at test time: effort and budgets, several agents at once, and how their findings are merged."""
