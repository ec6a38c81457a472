"""Counting a language: its dumps in; words, pairs, titles and redirects, counted, out.

A dump is cut into parts, a part becomes a sorted run on disk, runs are merged.
"""
