"""Encoded images and texts in, vectors of unit length and fingerprints of images out."""
