"""A folder of clusters in; out its centres, its pairs, and those that an expert is trained on."""
