"""What `match` left, for all stages behind it: the plan, counts, decisions, tombstones.

In: a folder `matched/`. Out: its pairs with entries, and which of them a draw keeps.
"""
