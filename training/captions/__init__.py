"""Several captions of a pair: from rows of tables to the one that is drawn in an epoch.

`write` sorts captions by the hash of their pairs into files, `lookup` finds those of a pair in
them, `bulk` a caption of each of many pairs, `mix` draws one of a pair's texts. What comes in are
ids and texts; who reads tables is not known here.
"""
