"""Files, local or behind an fsspec URL: read, list, measure, publish whole or not at all.

In: paths and URLs. Out: bytes, sizes, JSON, and files that appear whole. Knows no format of ours;
every other room stands on it. `processes` runs functions in processes that end with their parent.
"""
