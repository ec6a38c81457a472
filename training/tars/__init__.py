"""Tars of samples, read strictly: one reader for matching, training and evaluation.

`headers` reads one member's headers, `kernels` runs of plain ones, `members` a whole tar by both,
`samples` puts members together. What no data is (`names`) is passed over everywhere alike.
"""
