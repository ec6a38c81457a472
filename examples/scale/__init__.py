"""Starting a run on 40,000 shards in an object store, on several machines: simulated, measured."""
