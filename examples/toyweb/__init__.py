"""A seeded toy web: images with alt-texts in seven languages, and the sources to curate them.

The same small world (colours, shapes, textures and a few scenes, drawn by Zipf's law) is told
three times: as web pairs, as Wikipedia dumps with page views, and as evaluation sets. So the
whole flow from metadata to zero-shot accuracy runs on one computer, without a network.
"""

from .web import toy_texts, write_toy_web

__all__ = ["toy_texts", "write_toy_web"]
