"""The stages: paths and options in, artifacts of the workspace out.

One room a stage, and rooms that several stages share. Shared, each standing on those before it:
`views`, `store`, `executor`, `inputs`, `matched`, `shards`. Of another stage a stage sees what its
package exports, never its files. A stage's files have the same names everywhere: `stage` plans,
runs and sums up; `plan` is what it will do; `part` is what a worker does; `view` is its table.
"""
