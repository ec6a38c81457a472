"""Metadata, matching, balancing and training for CLIP data in 300 languages."""
