"""Every pair's cluster in; out which pairs an expert is trained on, epoch by epoch."""
