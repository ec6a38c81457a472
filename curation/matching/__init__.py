"""Matching: entries and texts in, the ids of the entries that occur in each text out.

`normalize` says what occurring means, `reference` does it with an automaton, `index` fast.
"""
