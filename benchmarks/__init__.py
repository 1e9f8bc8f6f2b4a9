"""Benchmarks: horsies, raw PostgreSQL floors and other task queues, side by side in one run."""
