"""`curate yield`: matched pairs in, how many each threshold t would keep out."""
