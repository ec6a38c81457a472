"""Images on their way into shards: generated images in, images and MB per second out."""
