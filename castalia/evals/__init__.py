"""Benchmark tasks, the accuracy table and the report."""
