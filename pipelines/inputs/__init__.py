"""Inputs of any usual kind in, checked record batches out; and filters that drop some.

`readers` opens a file as rows, `records` finds and checks the columns that are needed.
"""
