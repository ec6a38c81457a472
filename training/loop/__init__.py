"""The step: a batch in, changed weights out; on one process or many, resumable bit for bit."""
