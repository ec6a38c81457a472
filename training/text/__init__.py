"""Tokenizers: captions in, token ids out."""
