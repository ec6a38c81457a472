"""Evaluation: a model and held-out images in, figures with their intervals out."""
