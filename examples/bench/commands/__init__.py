"""Whole commands: captions in, processor time and memory out, also beside another revision."""
