"""`curate train`: shards in; checkpoints, log and model card of a run out."""
