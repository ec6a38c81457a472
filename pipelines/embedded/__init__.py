"""A folder of vectors in, its rows out: what `embed` wrote, for the stages that stand on it."""
