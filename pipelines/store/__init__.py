"""The workspace: where everything is, stamped Parquet, and the folder of entries.

In: paths and tables. Out: artifacts that say what they were made from. Knows no stage.
"""
