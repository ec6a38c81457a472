"""`curate build-metadata`: WordNets, dumps and page views in, entries per language out."""
