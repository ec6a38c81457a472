"""`curate balance`: matched pairs in; probabilities, the kept pairs and their card out."""
