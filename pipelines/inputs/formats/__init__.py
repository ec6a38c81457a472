"""Readers of one kind of file each: a part in, rows and what could not be read out."""
