"""Loading of shards: generated or given tars in, images per second and bytes fetched out."""
