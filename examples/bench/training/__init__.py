"""Training steps on a GPU or CPU: shapes and batches in, images per second and seconds out."""
