"""Loading: tars in; batches of uint8 images and token ids out, in an order that a seed decides."""
