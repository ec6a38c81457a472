"""Functions that become machine code: shipped with this package, or compiled where they are used.

In: a Python function that numba compiles. Out: the same function, fast. `kernel` decides between
the two ways, `shipped` reads and calls what was compiled beforehand, `on_site` has numba compile,
`notice` says so. numba is loaded for the second way alone.
"""
