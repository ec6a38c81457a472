"""Model shapes, one JSON file each."""
