"""How work and results show themselves: progress, tables, and strangers' texts made inert.

In: numbers and texts of results. Out: lines for a terminal. Knows no stage and no file.
"""
