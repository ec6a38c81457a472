"""Hashes: strings in; ids of pairs and images, draws, and which pairs are the same, out."""
