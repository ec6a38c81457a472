"""`curate status`: a workspace in; what is done, stale or going on out."""
