#!/bin/sh
# Add a language to a workspace, and see what it changes.
#
#   examples/add_language.sh WORKSPACE LANG 'pairs/*.parquet' [-- options of build-metadata]
#
# Entry ids of the other languages stay, but pairs that had no metadata now match: so the pairs are
# matched anew, beside the old matches, and both are compared.
set -eu
workspace=$1 lang=$2 pairs=$3
shift 3
[ "${1-}" = "--" ] && shift

curate build-metadata --lang "$lang" --workspace "$workspace" "$@"
curate match "$pairs" --workspace "$workspace" --output "$workspace/matched-$lang"
curate diff "$workspace/matched" "$workspace/matched-$lang"

echo "balance them: curate balance --t 20000 --matched $workspace/matched-$lang -o $workspace/balanced-$lang"
