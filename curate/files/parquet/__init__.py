"""Parquet as bytes: a footer read without pyarrow, a guard for damaged files, seals of our own.

In: paths and files. Out: figures of a footer, what in it cannot be true, and readers and writers of
files that carry their own checksums. Nothing here knows what the columns mean.
"""
