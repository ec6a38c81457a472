"""`curate eval`: a run and held-out images in, figures out."""
