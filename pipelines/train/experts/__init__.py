"""A run of all pairs and a step in; out what an expert of a cluster goes on from."""
