"""`curate retract`: ids and URLs in; matches, counts and balanced sets without them out."""
