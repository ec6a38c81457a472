"""Kept pairs and counts in, what a card says of more than entries out: texts, columns, files."""
