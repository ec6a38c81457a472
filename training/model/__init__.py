"""The model: a shape in, CLIP out; and its weights, ours and others', in and out of files."""
