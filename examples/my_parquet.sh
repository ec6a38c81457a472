#!/bin/sh
# My Parquet files → a balanced subset with its data card.
#
#   examples/my_parquet.sh WORKSPACE PAIRS 'my/*.parquet'
#
# The files need a column of URLs (url, URL, image_url) and one of texts (text, caption, …); others
# pass through. PAIRS is how many to keep. Metadata is there already (curate build-metadata).
set -eu
workspace=$1 pairs=$2
shift 2

curate match "$@" --workspace "$workspace"
curate balance --target-pairs "$pairs" --workspace "$workspace"

echo "kept pairs: $workspace/balanced/pairs/ (or shards/), how and why: $workspace/balanced/datacard.md"
