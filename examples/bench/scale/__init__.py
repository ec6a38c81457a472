"""Many parts, files, shards and workers: what each costs, and that results stay the same bytes."""
