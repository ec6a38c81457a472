"""What the names of a tar's members mean: suffixes, in the order in which they are looked for."""

__all__ = ["IMAGE_FORMATS", "IMAGE_SUFFIXES", "JSON_SUFFIX", "TEXT_SUFFIXES"]

# What Pillow may take an image for, whatever its name says. No others: some that it knows are
# handed on to other programs.
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")
TEXT_SUFFIXES = ("txt", "text", "caption")
JSON_SUFFIX = "json"
