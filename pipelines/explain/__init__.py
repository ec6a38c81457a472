"""`curate explain`: a text or a stored pair in, what it matches and whether it is kept out."""
