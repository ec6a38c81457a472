"""`curate diff`: two folders of ours in, what differs out."""
