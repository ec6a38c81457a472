"""Whether captions are of these pairs at all: asked before a run begins, not found out after it."""

from collections.abc import Callable, Sequence

from curate.errors import InputError
from curate.files.storage import is_remote
from curate.pipelines.caption_tables.names import find_tables
from curate.pipelines.caption_tables.read import read_captions
from curate.training.captions.lookup import CaptionIndex

__all__ = ["require_joined"]

_SHARDS = 8


def require_joined(
    index: CaptionIndex,
    words: Sequence[str],
    tars: Sequence[str],
    open_file: Callable[[str], int],
) -> None:
    """Refuse captions if no pair of some shards, spread over all, has one.

    Args:
        index: of the captions.
        words: as `--captions` names them.
        tars: the shards; of remote ones the first alone is looked at.
        open_file: opens them.

    Raises:
        InputError: there is none.
    """
    from collections import Counter

    from curate.training.data.online import read_rows
    from curate.training.data.shards import OpenShards, index_shard

    step = max(1, len(tars) // _SHARDS)
    looked = tars[::step][:_SHARDS] if not is_remote(tars[0]) else tars[:1]
    num, example = 0, None
    for tar in looked:
        files = OpenShards(open_file)
        for pair_id in read_rows(index_shard(tar, open_file), files).pair_ids.to_pylist():
            if index.places(pair_id):
                return
            num, example = num + 1, example or pair_id
    if example is None:
        return  # shards without pairs are told of elsewhere
    rows = (rows for rows in read_captions(find_tables(words), Counter()) if len(rows.pair_ids))
    first = next(rows).pair_ids[0].as_py()
    raise InputError(
        f"{looked[0]}: none of {num:,} pairs of {len(looked)} shards has a caption in "
        f"{', '.join(words)}. A pair is called such as {example!r}, in the tables such as "
        f"{first!r}; they have to be the same."
    )
