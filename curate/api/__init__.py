"""The Python API: one function a command, with the command's options as keywords.

In: paths, options, and for `match` anything that streams Arrow. Out: results with the summary as
attributes. The command line is made from these signatures and docstrings, so that an option is
described once. What is public is listed in `curate/__init__.py`.
"""
