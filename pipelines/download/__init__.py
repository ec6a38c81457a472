"""`curate download`: URLs of a balanced set in, shards of images out."""
