"""What the page asks in, values for JSON out: one function a question. Knows nothing of HTTP."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from curate.errors import InputError, UsageError
from curate.files.addresses import hide_secrets
from curate.pipelines.browse.co_occurrence import entries_with
from curate.pipelines.browse.filters import PairFilter
from curate.pipelines.browse.pair_sets import PairSet, UnreadableError
from curate.pipelines.browse.pairs import MOST, find_pairs, parse_place
from curate.pipelines.browse.run_view import run_figures
from curate.pipelines.browse.shown import shown_pairs
from curate.pipelines.browse.state import State
from curate.pipelines.explain import explain_text

__all__ = ["ANSWERS", "pair_set_of"]

Asked = Mapping[str, str]

_LONGEST_TEXT = 4000  # characters that are explained
_PAGE = 50
_ENTRY_PAIRS = 12


def _number(asked: Asked, name: str, default: int, most: int) -> int:
    text = asked.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 17) or int(text) > most:
        raise UsageError(f"{name} is {text[:40]!r}; expected a whole number up to {most:,}")
    return int(text)


def pair_set_of(state: State, asked: Asked) -> PairSet:
    """Return the set of pairs that is asked for, the first one by default.

    Raises:
        UsageError: there is none of that name.
        InputError: there are no pairs here.
    """
    if not state.sets:
        raise InputError("there are no pairs here")
    name = asked.get("set") or next(iter(state.sets))
    if name not in state.sets:
        raise UsageError(f"{name[:40]!r}: expected one of {', '.join(state.sets)}")
    return state.sets[name]


def about(state: State, asked: Asked) -> dict[str, Any]:
    """Return what is browsed."""
    del asked
    return state.about()


def entries(state: State, asked: Asked) -> dict[str, Any]:
    """Return entries that hold a string."""
    source = state.index.entries if state.index else state.entries
    if source is None:
        raise InputError("there are no entries here; they are where pairs are matched")
    first = _number(asked, "first", 0, 10_000)
    num = _number(asked, "num", _PAGE, 200)
    found = source.search(
        asked.get("q", "")[:200], way=asked.get("way") or "contains",
        lang=asked.get("lang") or None, sort=asked.get("sort") or "count", t_of=state.t_of,
        first=first, num=num,
    )  # fmt: skip
    rows = [
        {**asdict(one), "slots": None if (t := state.t_of.get(one.lang)) is None
         else min(one.count, t)}
        for one in found.rows
    ]  # fmt: skip
    return {"rows": rows, "num": found.num, "is_all": found.is_all, "first": first}


def entry(state: State, asked: Asked) -> dict[str, Any]:
    """Return an entry: counts, probability, some of its pairs, and entries that occur with it."""
    source = state.index.entries if state.index else state.entries
    if source is None:
        raise InputError("there are no entries here; they are where pairs are matched")
    lang, entry_id = asked.get("lang") or "", _number(asked, "id", 0, 2**32 - 1)
    one = source.entry(lang, entry_id)
    t = state.t_of.get(lang)
    shown: dict[str, Any] = {
        **asdict(one), "t": t, "slots": None if t is None else min(one.count, t),
        "probability": None if t is None else min(1.0, t / max(1, one.count)),
    }  # fmt: skip
    pairs = pair_set_of(state, {})
    wanted = PairFilter(lang=lang, entry=entry_id)
    found = find_pairs(pairs, state.index, wanted, None, _ENTRY_PAIRS)
    shown["pairs"] = shown_pairs(pairs, found.places, state.view)
    shown["following"] = found.following and str(found.following)
    shown["set"] = pairs.name
    if state.index is not None:
        shown |= entries_with(state.index, pairs, lang, entry_id)
    return shown


def pairs(state: State, asked: Asked) -> dict[str, Any]:
    """Return the next pairs of a list."""
    chosen = pair_set_of(state, asked)
    is_indexed = chosen.name == "matched"
    wanted = PairFilter.of(asked, chosen)
    start = parse_place(asked["after"]) if asked.get("after") else None
    index = state.index if is_indexed else None
    view = state.view if is_indexed or state.index is None else state.view.without_index()
    while True:
        found = find_pairs(chosen, index, wanted, start, _number(asked, "num", 60, MOST))
        try:
            rows = shown_pairs(chosen, found.places, view)
            break
        except UnreadableError:
            continue  # the group is known to be damaged now, and left out
    return {
        "rows": rows,
        "following": found.following and str(found.following),
        "looked": found.looked, "of": chosen.num_pairs, "set": chosen.name,
        "unread": [hide_secrets(words) for words in found.unread],
    }  # fmt: skip


def pair(state: State, asked: Asked) -> dict[str, Any]:
    """Return all that is known of one pair."""
    chosen = pair_set_of(state, asked)
    view = state.view if chosen.name == "matched" or not state.index else state.view.without_index()
    place = parse_place(asked.get("at") or "")
    return {**shown_pairs(chosen, [place], view, is_whole=True)[0], "set": chosen.name}


def what_if(state: State, asked: Asked) -> dict[str, Any]:
    """Return what thresholds would keep: ``t`` of all languages, ``t.en`` of one."""
    own = {
        name.removeprefix("t."): _number(asked, name, 1, 2**53)
        for name in asked if name.startswith("t.")
    }  # fmt: skip
    answers = state.what_if
    t = _number(asked, "t", state.balanced.parameters["t"] if state.balanced else 1, 2**53)
    return answers.at(max(1, t), own, asked.get("lang") or None)


def why(state: State, asked: Asked) -> dict[str, Any]:
    """Return what a text, or a stored pair, matches and why, as `curate explain` does."""
    place = state.place
    if place.metadata is None:
        raise InputError("texts are explained by the metadata, which are not here; name the folder "
                         "with --metadata")  # fmt: skip
    text, pair_id = asked.get("text") or None, asked.get("pair") or None
    if text is not None and len(text) > _LONGEST_TEXT:
        raise UsageError(f"a text of {len(text):,} characters; the page explains up to "
                         f"{_LONGEST_TEXT:,}, `curate explain` any")  # fmt: skip
    nothing = f"{place.path.rstrip('/')}/.none"
    return explain_text(
        text, pair_id=pair_id, url=asked.get("url") or None, metadata=place.metadata,
        matched=place.matched or nothing, balanced=place.balanced or nothing,
        lang=asked.get("lang") or None,
        t=_number(asked, "t", 1, 2**53) if asked.get("t") else None,
    )  # fmt: skip


def run(state: State, asked: Asked) -> dict[str, Any]:
    """Return the figures of a run."""
    del asked
    if state.place.run is None:
        raise InputError("there is no run here")
    return run_figures(state.place.run)


ANSWERS: dict[str, Callable[[State, Asked], dict[str, Any]]] = {
    "about": about, "entries": entries, "entry": entry, "pairs": pairs, "pair": pair,
    "what-if": what_if, "why": why, "run": run,
}  # fmt: skip
