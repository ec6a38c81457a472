"""Readers of other files than pairs, from outside or from a workspace, each with a small whole one.

A reader takes the path of a damaged file and what is counted. What an artifact of ours gives is
what was written, or an error; what a file of others gives is usable or counted as bad.
"""

import bz2
import functools
import gzip
import io
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.curation.lid.identify import CompiledIdentifier, default_lid_model
from curate.curation.matching.index import build_index, pack_index, unpack_index
from curate.files.sealed_json import read_json, write_json
from curate.metadata.corpus.part import read_counted
from curate.metadata.fetch.notes import publish_json
from curate.metadata.ngrams.runs import WORDS, read_groups, run_writer
from curate.metadata.own_entries import read_own_entries
from curate.metadata.views.pageviews import count_views
from curate.metadata.views.stored_views import StoredViews, filter_views
from curate.metadata.wikipedia.article_table import read_articles, split_articles
from curate.metadata.wikipedia.dump import read_pages
from curate.metadata.wordnets.omw import omw_lemmas
from curate.metadata.wordnets.wordnet import english_lemmas
from curate.pipelines.shards.tar import shard_writer
from curate.pipelines.store import artifacts
from curate.training.data.shards import index_shard
from curate.training.eval.table_files import table_batches, table_schema
from curate.training.model.weights_file import read_tensors
from curate.training.text.tokenizer_files import open_tokenizer
from tests.curation.lid.models import write_random_classifier
from tests.fuzz.outcome import Outcome
from tests.metadata.wikipedia.test_dump import dump, xml_page
from tests.metadata.wordnets.small_database import write_database

__all__ = ["KINDS", "Reader"]

Reader = Callable[[str, Outcome], None]
WORDS_OF_TEXTS = ("a red dog", "eine Katze", "x" * 90, "")


def _pages(path: str, outcome: Outcome) -> None:
    tally: Counter[str] = Counter()
    try:
        for page in read_pages(path, tally):
            assert isinstance(page.title, str) and isinstance(page.text, str)
            outcome.rows += 1
    finally:
        outcome.bad += tally["broken"]


def _views(path: str, outcome: Outcome) -> None:
    bad: Counter[str] = Counter()
    counted = count_views([path], ["de"], bad)["de"]
    sink = io.BytesIO()
    num_bad = filter_views(path, ["de"], sink)
    stored = pq.read_table(io.BytesIO(sink.getvalue()))
    if len(counted) > 5:  # of fewer lines nobody can tell the format, which a file has one of
        assert num_bad == bad[path]
        assert sum(stored.column("views").to_pylist()) == counted.total()
    outcome.rows += len(counted)
    outcome.bad += num_bad


def _tab(path: str, outcome: Outcome) -> None:
    bad: Counter[str] = Counter()
    outcome.rows += len(omw_lemmas("da", os.path.dirname(path), bad) or [])
    outcome.bad += bad.total()


def _wordnet(path: str, outcome: Outcome) -> None:
    folder = os.path.dirname(path)
    if not os.path.exists(os.path.join(folder, "data.verb")):
        damaged = Path(path).read_bytes()
        write_database(folder, _LEMMAS)
        Path(path).write_bytes(damaged)
    outcome.rows += len(english_lemmas(folder))


def _entries(path: str, outcome: Outcome) -> None:
    outcome.rows += len(read_own_entries(path))


def _articles(path: str, outcome: Outcome) -> None:
    tally: Counter[str] = Counter()
    for part in split_articles(path, 500):
        outcome.rows += sum(1 for _ in read_articles(part, tally))
    outcome.bad += tally["broken"]


def _eval_table(path: str, outcome: Outcome) -> None:
    names = [name for name in ("title", "text") if name in table_schema(path).names]
    for batch in table_batches(path, names):
        outcome.rows += batch.num_rows


def _index(path: str, outcome: Outcome) -> None:
    matcher = unpack_index(Path(path).read_bytes(), path)
    matcher.check()
    assert matcher.match(pa.array(WORDS_OF_TEXTS)).to_pylist()[0] == [0, 1]
    outcome.rows += 1


def _model(path: str, outcome: Outcome) -> None:
    identifier = CompiledIdentifier(Path(path).read_bytes(), path)
    outcome.rows += len(identifier.identify(pa.array(WORDS_OF_TEXTS))[0])


def _shard(path: str, outcome: Outcome) -> None:
    index = index_shard(path)
    outcome.rows += len(index.places)
    outcome.bad += index.num_missing + (not index.is_whole)
    assert len(index.places) == 12 or not index.is_whole or index.num_missing


def _is_what_was(read: Callable[[str], Any]) -> Reader:
    """Return a reader of an artifact of ours: it gives what it gave of the whole one."""
    first: list[Any] = []

    def look(path: str, outcome: Outcome) -> None:
        found = read(path)
        first.append(found) if not first else None
        assert found == first[0]
        outcome.rows += 1

    return look


def _database_file(name: str) -> bytes:
    with TemporaryDirectory() as folder:
        write_database(folder, _LEMMAS)
        return Path(folder, name).read_bytes()


def _written(name: str, write: Callable[[str], object]) -> bytes:
    with TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        write(path)
        return Path(path).read_bytes()


def _shard_of_ours(path: str) -> None:
    with shard_writer(path) as writer:
        for i in range(12):
            about = json.dumps({"pair_id": f"{i}"}).encode()
            members = {"jpg": b"J" * 9, "txt": f"a dog {i}".encode(), "json": about}
            writer.add(f"{i:03d}", members)


def _parquet(**columns: list[Any]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, row_group_size=7)
    return out.getvalue()


def _stamped(path: str) -> None:
    table = pa.table({"part": [0, 1], "summary": ["{}", "{}"]})
    artifacts.write_table(path, table, {"plan": "x"}, "hash")


def _read_stamped(path: str) -> Any:
    return artifacts.read_stamp(path), artifacts.read_table(path)


def _read_note(path: str) -> Any:
    part = read_counted(Path(path.removesuffix(".json")))
    return part and (part.tally, part.num_tokens, part.num_pair_tokens)


def _counted_views(path: str) -> None:
    plain = f"{path}.txt"
    Path(plain).write_bytes(_VIEWS)
    with open(path, "wb") as sink:
        filter_views(plain, ["de"], sink)


def _counted_words(path: str) -> None:
    with run_writer(Path(path), WORDS) as writer:
        writer.write(pa.table([[1, 2], ["a", "b"], [5, 6]], schema=WORDS))


def _note(path: str) -> None:
    publish_json(
        Path(path), {"tally": {"article": 3}, "num_tokens": 9, "num_pair_tokens": 8}
    )  # fmt: skip


def _torch_weights(path: str) -> None:
    import torch

    torch.save({"model": {"a": torch.arange(6.0), "b": torch.ones(2, 3)}, "format": "1"}, path)


def _safe_weights(path: str) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.arange(6.0), "b": torch.ones(2, 3)}, path)


def _tokenizer(path: str) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    Tokenizer(WordLevel({"<pad>": 0, "</s>": 1, "a": 2, "dog": 3}, "<pad>")).save(path)


def _weights(path: str, outcome: Outcome) -> None:
    tensors = read_tensors(path)
    outcome.rows += sum(tensor.numel() for tensor in tensors.values())


def _words(path: str, outcome: Outcome) -> None:
    outcome.rows += len(open_tokenizer(path, 8).encode(["a dog"]))


_XML = dump(
    *(xml_page(f"Hund {i}", text=f"roter [[Hund]] {i}") for i in range(12)),
    xml_page("Köter", text="#REDIRECT [[Hund]]", redirect="Hund"),
).encode()
_VIEWS = b"".join(b"de.wikipedia Title_%d %d desktop %d A1\n" % (i, i, i + 1) for i in range(60))
_TAB = b"# Danish\n" + b"".join(b"%08d-n\tlemma\thund %d\n" % (i, i) for i in range(40))
_LEMMAS = {
    "noun": [f"hound_{i}" for i in range(30)], "verb": ["bark", "run"], "adj": ["red"],
    "adv": ["slowly"],
}  # fmt: skip
_TITLES = {"title": [f"T {i}" for i in range(30)], "text": [f"a dog {i}" for i in range(30)]}
_index_bytes = functools.partial(pack_index, build_index(["dog", "red dog", "do"], "standard"))

KINDS: dict[str, tuple[str, bytes, Reader]] = {
    "dump": ("a.xml", _XML, _pages),
    "dump bz2": ("a.xml.bz2", bz2.compress(_XML), _pages),
    "views": ("pageviews-20260101-user", _VIEWS, _views),
    "views gz": ("pageviews-20260101-000000.gz", gzip.compress(_VIEWS, mtime=0), _views),
    "wordnet tab": ("wn-data-dan.tab", _TAB, _tab),
    "wordnet gz": ("wn-data-dan.tab.gz", gzip.compress(_TAB, mtime=0), _tab),
    "wordnet data": ("data.noun", _database_file("data.noun"), _wordnet),
    "wordnet index": ("index.noun", _database_file("index.noun"), _wordnet),
    "entries": ("own.txt", b"red dog\nSt. John\n" * 20, _entries),
    "entries gz": ("own.txt.gz", gzip.compress(b"red dog\nSt. John\n" * 20, mtime=0), _entries),
    "entries parquet": ("own.parquet", _parquet(entry=["red dog", "cat"] * 20), _entries),
    "articles": ("a.parquet", _parquet(**_TITLES), _articles),
    "evaluation table": ("a.parquet", _parquet(**_TITLES), _eval_table),
    "language model": ("lid.bin", _written("lid.bin", lambda path: write_random_classifier(
        Path(path), loss=1, word_ngrams=2, max_ngram=4)), _model),
    "language model ftz": ("lid.ftz", Path(default_lid_model()).read_bytes(), _model),
    "index": ("en.index", _index_bytes("hash"), _index),
    "shard": ("00000.tar", _written("00000.tar", _shard_of_ours), _shard),
    "journal": ("parts.parquet", _written("parts.parquet", _stamped), _is_what_was(_read_stamped)),
    "json": ("summary.json", _written("summary.json", lambda path: write_json(
        path, {"matched": 5, "matches": {"en": 5}})), _is_what_was(read_json)),
    "note": ("part.json", _written("part.json", _note), _is_what_was(_read_note)),
    "counted views": ("views.parquet", _written("views.parquet", _counted_views), _is_what_was(
        lambda path: list(StoredViews((path,), ("de",)).items()))),
    "counted words": ("run.words.parquet", _written("run.words.parquet", _counted_words),
                      _is_what_was(lambda path: list(read_groups(Path(path))))),
    "weights pt": ("a.pt", _written("a.pt", _torch_weights), _weights),
    "safetensors": ("a.safetensors", _written("a.safetensors", _safe_weights), _weights),
    "tokenizer": ("tokenizer.json", _written("tokenizer.json", _tokenizer), _words),
}  # fmt: skip
