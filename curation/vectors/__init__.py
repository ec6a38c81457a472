"""Vectors and hashes of images and texts: decoded pixels and arrays in, what is alike out."""
