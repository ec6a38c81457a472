"""Rows of many files whose key has stood before, found in bounded memory.

Shared by `extract`, which leaves them out, `match`, which counts ids that repeat, and `embed`,
which looks at an image once.
"""
