"""Benchmarks: ratios within one run, public tools only."""
