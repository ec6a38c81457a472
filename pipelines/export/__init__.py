"""`curate export`: a run in, a folder that others' programs load out."""
