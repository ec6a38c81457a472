"""What compiled code stands on: machine instructions, Arrow's buffers, keys, threads.

No room of its own in the flow: the kernels of matching, LID, hashing and sampling use it.
"""
