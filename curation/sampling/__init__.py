"""Balancing: entry counts and matches in; probabilities, decisions and their figures out."""
