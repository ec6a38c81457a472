"""Rows of many files whose key has stood before, found in bounded memory.

Shared by `extract`, which leaves them out, and `match`, which counts ids that repeat.
"""
