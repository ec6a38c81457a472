"""Where parts are worked on: threads, processes, Ray, Slurm; leases, journals and logs.

In: a function and tasks. Out: results in any order. Knows nothing of what the function does.
"""
