"""Columns by what they hold: encoded images, and values that are ids or are hashed."""
