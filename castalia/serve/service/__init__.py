"""Whoever answers what the APIs ask: a model of ours in its engine, or one behind somebody's endpoint."""
