"""The pools: all pairs, those that match, and what balancing keeps of them, as shards.

Matching and balancing are done with the library, as in the README's example: the entries are those
of `curate build-metadata` and the names of the toy world's 80 concepts, which a real set of entries
has from WordNet and from the titles of articles.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset
from numpy.typing import NDArray

from curate.curation import (
    FastTextIdentifier,
    IndexMatcher,
    build_index,
    count_entries,
    default_lid_model,
    hash_draws,
    match_by_language,
    pair_probability,
    sampling_probability,
    tail_share,
    threshold_for_tail_share,
)
from curate.pipelines.store import artifacts
from examples.toyweb import world
from examples.toyweb.world import Scene

PAIRS_PER_SHARD = 2000
REFERENCE = "en"

Pair = tuple[str, bytes, str, str]  # id, image, text, JSON


@dataclass(frozen=True, slots=True)
class Matched:
    """The pairs that match something.

    Attributes:
        pairs: pair_id, image, text, lang and entry_ids.
        counts: entry_count of each language, among these pairs.
    """

    pairs: pa.Table
    counts: dict[str, NDArray[np.int64]]

    def thresholds(self, t: int) -> dict[str, int]:
        """Return t of every language: English's, and what gives the others its tail share."""
        p = tail_share(self.counts[REFERENCE], t)
        others = {k: threshold_for_tail_share(count, p) for k, count in self.counts.items()}
        return {lang: t if lang == REFERENCE else found or 1 for lang, found in others.items()}

    def kept(self, t: int, seed: int) -> NDArray[np.bool_]:
        """Tell of each pair whether balancing keeps it, as ``--reference-lang en`` does."""
        langs = np.array(self.pairs.column("lang").to_pylist())
        entry_ids = _whole(self.pairs.column("entry_ids"))
        probability = np.zeros(len(langs))
        for lang, t_lang in self.thresholds(t).items():
            rows = np.flatnonzero(langs == lang)
            of_entries = sampling_probability(self.counts[lang], t_lang)
            probability[rows] = pair_probability(entry_ids, of_entries, rows)
        draws = hash_draws(_whole(self.pairs.column("pair_id")), seed)
        return np.asarray(draws < probability)

    def chosen(self, keep: NDArray[np.bool_]) -> Iterator[Pair]:
        """Yield the pairs of a draw, with the JSON that `curate balance` writes beside them."""
        for row in self.pairs.filter(pa.array(keep)).to_pylist():
            said = {"pair_id": row["pair_id"], "lang": row["lang"], "entry_ids": row["entry_ids"]}
            yield row["pair_id"], row["image"], row["text"], json.dumps(said)

    def write_probabilities(self, folder: Path, t: int) -> None:
        """Write ``probabilities/<lang>.parquet``, which `curate train --online` reads."""
        for lang, t_lang in self.thresholds(t).items():
            table = pa.table({"probability": sampling_probability(self.counts[lang], t_lang)})
            path = folder / "probabilities" / f"{lang}.parquet"
            artifacts.write_table(str(path), table, {"made_from": {"t": t_lang}}, "")


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks)


def read_web(web: Path) -> pa.Table:
    """Read the pairs of the web that have a text, good or not: pair_id, image, text."""
    tables = [pq.read_table(file) for file in sorted(web.glob("*.parquet"))]
    table = pa.concat_tables(tables).combine_chunks()
    has_text = pa.array([bool(text) for text in table.column("text").to_pylist()])
    table = table.filter(has_text).combine_chunks()
    ids = [url.rpartition("/")[2].removesuffix(".png") for url in table.column("url").to_pylist()]
    return pa.table({"pair_id": ids, "image": table.column("image"), "text": table.column("text")})


def concept_names(lang: str) -> list[str]:
    """Return what the 80 concepts are called: one, and several where that is another form."""
    names = []
    for concept in range(world.NUM_CONCEPTS):
        colour, shape = divmod(concept, len(world.SHAPES))
        one, two = (world.noun_phrase(Scene(colour, shape, number=n), lang) for n in (1, 2))
        if lang in ("ja", "zh"):
            names.append(one.removeprefix("一个"))
        else:  # Russian has no article
            names += [one if lang == "ru" else one.split(" ", 1)[1], two.split(" ", 1)[1]]
    return names


def match_web(table: pa.Table, metadata: Path) -> Matched:
    """Identify the language of each text, and match it against the entries of that language."""
    matchers, num_entries = {}, {}
    for lang in world.LANGUAGES:
        built = pq.read_table(metadata / f"{lang}.parquet").column("entry").to_pylist()
        entries = list(dict.fromkeys([*built, *concept_names(lang)]))
        matchers[lang] = IndexMatcher(build_index(entries, "standard"))
        num_entries[lang] = len(entries)
    texts = _whole(table.column("text"))
    langs = FastTextIdentifier(default_lid_model()).identify(texts).lang
    found = match_by_language(texts, langs, matchers.get).entry_ids
    table = table.append_column("lang", langs.cast(pa.string())).append_column("entry_ids", found)
    table = table.filter(pa.compute.greater(pa.compute.list_value_length(found), 0))
    counts = {}
    for lang, num in num_entries.items():
        of_lang = table.filter(pa.compute.equal(table.column("lang"), lang))
        counts[lang] = count_entries(_whole(of_lang.column("entry_ids")), num)
    return Matched(table, counts)


def raw_pairs(table: pa.Table) -> Iterator[Pair]:
    """Yield all pairs of the web."""
    for row in table.to_pylist():
        yield row["pair_id"], row["image"], row["text"], "{}"


def write_shards(folder: Path, pairs: Iterable[Pair]) -> int:
    """Write pairs as WebDataset tars, once; return how many there are."""
    done = folder / "pairs.txt"
    if done.exists():
        return int(done.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    with webdataset.ShardWriter(
        str(folder / "%05d.tar"), maxcount=PAIRS_PER_SHARD, encoder=False, mtime=0, verbose=0
    ) as writer:
        for key, image, text, said in pairs:
            sample = {"png": image, "txt": text.encode(), "json": said.encode()}
            writer.write({"__key__": key, **sample})
            number += 1
    done.write_text(str(number))
    return number
