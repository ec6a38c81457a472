"""Shards: kept pairs and their images in, WebDataset tars with their indices out.

Shared by `balance`, which has the images, and `download`, which fetches them.
"""
