"""Four experts of clusters against one model of the same cost, on the toy web."""
