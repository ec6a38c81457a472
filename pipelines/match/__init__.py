"""`curate match`: pairs in; pairs with language and entries, counts and rejects out."""
