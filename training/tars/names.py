"""What the names of a tar's members mean: suffixes, in the order in which they are looked for."""

__all__ = ["IMAGE_SUFFIXES", "JSON_SUFFIX", "TEXT_SUFFIXES"]

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")
TEXT_SUFFIXES = ("txt", "text", "caption")
JSON_SUFFIX = "json"
