"""Metadata: WordNet, Wikipedia and its page views in, the entries of each language out.

What comes in are files (`dump`, `pageviews`, `wordnet`); what goes out is an Arrow table per
language (entry, source, score), whose row numbers are the entry ids. Nothing here knows of
workspaces or of texts to match.
"""

from metadata.errors import CurateError

__all__ = ["CurateError"]
