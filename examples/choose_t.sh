#!/bin/sh
# Choose t: how many pairs each t would keep, from stored matches, in seconds.
#
#   examples/choose_t.sh WORKSPACE PAIRS
set -eu
workspace=$1 pairs=$2

# A curve of pairs over t.
curate yield --workspace "$workspace" --plot "$workspace/yield.svg"
# The t that keeps so many pairs, and what it keeps of each language.
curate yield --workspace "$workspace" --pairs "$pairs"
# MetaCLIP 2: t of each language such that 6 % of its matches belong to the tail.
curate yield --workspace "$workspace" --tail-share 0.06

echo "balance: curate balance --target-pairs $pairs --workspace $workspace"
