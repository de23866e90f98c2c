"""Homework: what the model tries is scored, and what scored well is learned."""
