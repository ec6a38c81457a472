"""Hashing, embedding, near-duplicates and clusters: generated images and vectors in, rates out."""
