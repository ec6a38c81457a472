"""Matching and the language of texts: entries and texts in, texts per second of engines out."""
