"""`curate card`: the data card of a balanced set made anew, with other examples or with classes."""

from collections.abc import Sequence
from datetime import date as day
from typing import Any

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.files.remedies import suggest
from curate.pipelines.card.classes import ClassList, read_class_list
from curate.pipelines.card.counted.breakdown import require_columns
from curate.pipelines.card.counted.entry_files import ENTRY_FILES
from curate.pipelines.card.options import THUMBNAIL_BYTES, CardOptions
from curate.pipelines.card.write import CARDS, Counts, write_cards
from curate.pipelines.executor.lease import driving
from curate.pipelines.inputs.records import ColumnNames
from curate.pipelines.matched.decisions import BalanceJob
from curate.pipelines.matched.exact import ExactCut
from curate.pipelines.matched.filters_again import filters_again, refuse_unused
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.thresholds import load_counts
from curate.pipelines.store import artifacts
from curate.pipelines.store.artifacts import PLAN
from curate.pipelines.store.swap import forget_next, next_folder, swap_in
from curate.pipelines.store.workspace import CARD

__all__ = ["make_card"]


def make_card(
    *,
    matched: str,
    balanced: str,
    output: str | None = None,
    classes: str | None = None,
    classes_lang: str = "en",
    num_examples: int | None = None,
    name: str | None = None,
    license: str | None = None,
    date: str | None = None,
    by: Sequence[str] = (),
    thumbnail_bytes: int = THUMBNAIL_BYTES,
    image_roots: Sequence[str] = (),
    entries: bool = False,
    filters: Sequence[str] = (),
    workers: int = 1,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Write the data card of a balanced set, from the stored matches, in one pass.

    Args:
        matched: folder that `match` wrote.
        balanced: folder that `balance` wrote from it.
        output: folder for the card; None for that of the balanced set, whose card is replaced.
        classes: file of classes whose coverage is to be shown: a class per line, its names
            separated by tabs.
        classes_lang: language of their names.
        num_examples: texts to show per language and decision; None for a few, 0 for none.
        name: of the set, as the Hub shows it.
        license: of the set, by the Hub's name for it.
        date: of the set, as YYYY-MM-DD; it is asked for, since the same set has the same card
            whenever that is made.
        by: columns whose values are counted, before and after.
        thumbnail_bytes: of all images of examples together; 0 for none.
        image_roots: folders that images may be read from besides those of the inputs.
        entries: write all entries with their counts too, as Parquet and CSV.
        filters: those that the set was made with, named again where its plan alone is not to be
            trusted: functions, and filters that read a file.
        workers: threads.
        overwrite: replace the card of another balanced set in the output folder.
        dry_run: write nothing.
        quiet: no progress.

    Returns:
        The data card; with dry_run, what would be read and written.

    Raises:
        ArtifactError: matching or balancing is not complete, or of something else.
        UsageError: the number of examples or the language of the classes cannot be meant, or a
            filter is not one of the set.
        InputError: the file of classes cannot be used.
    """
    if num_examples is not None and not 0 <= num_examples <= 100:
        raise UsageError(f"--examples is {num_examples}; expected 0 to 100")
    titles = {"name": name, "license": license, "date": _day(date)}
    for option, value in titles.items():
        if value is not None and not (value.isprintable() and 0 < len(value.strip()) <= 200):
            raise UsageError(f"--{option} is {value!r}; expected a line of at most 200 characters")
    folder = output or balanced

    def read() -> tuple[MatchedPlan, Counts, ClassList | None, dict[str, Any], tuple[str, ...]]:
        plan = MatchedPlan.read(matched)
        counts = load_counts(plan)
        listed = read_class_list(classes, classes_lang, counts) if classes is not None else None
        parameters = _parameters(plan, balanced)
        specs = filters_again(parameters, filters, balanced)
        refuse_unused(filters, specs)
        require_columns(plan, by)
        if not overwrite:
            _refuse_other(folder, artifacts.digest(parameters))
        return plan, counts, listed, parameters, specs

    if dry_run:
        plan = read()[0]
        written = (*CARDS, *(ENTRY_FILES if entries else ()))
        paths = [storage.join(folder, name) for name in written]
        matched_pairs = plan.whole_summary()["matched"]
        return {"pairs": matched_pairs, "parts": len(plan.parts), "writes": ", ".join(paths)}
    with driving(folder, "card"):
        plan, counts, listed, parameters, specs = (
            read()
        )  # of a folder that nobody else may change now
        forget_next(folder)
        card = write_cards(
            plan, counts, parameters["t_of_language"], _job(plan, balanced, parameters, specs),
            parameters, next_folder(folder), options=CardOptions(
                classes=listed, num_examples=num_examples, by=tuple(by), entries=entries,
                titles={option: value for option, value in titles.items() if value is not None},
                thumbnail_bytes=thumbnail_bytes, image_roots=tuple(image_roots),
            ), workers=workers, quiet=quiet,
        )  # fmt: skip
        if not entries:
            _remove_others(folder, artifacts.digest(parameters))
        swap_in(folder, sign=CARD)
        return card


def _day(date: str | None) -> str | None:
    """Return a day as it is written.

    Raises:
        UsageError: it is none.
    """
    if date is None:
        return None
    try:
        return day.fromisoformat(date).isoformat()
    except ValueError as error:
        raise UsageError(f"--date is {date!r}; expected a day as YYYY-MM-DD") from error


def _job(
    plan: MatchedPlan, balanced: str, parameters: dict[str, Any], specs: tuple[str, ...]
) -> BalanceJob:
    return BalanceJob(
        matched=plan.folder,
        output=balanced,
        parameters=artifacts.digest(parameters),
        metadata=plan.parameters["metadata"],
        columns=ColumnNames(**plan.parameters["columns"]),
        seed=parameters["seed"],
        write_pairs=False,
        filters=specs,
        exact=ExactCut.from_parameters(parameters),
    )


def _parameters(plan: MatchedPlan, balanced: str) -> dict[str, Any]:
    """Return what a complete balanced set of these matches was made with.

    Raises:
        ArtifactError: there is none.
    """
    path = storage.join(balanced, PLAN)
    if not storage.exists(path):
        raise ArtifactError(
            f"{balanced}: nothing is balanced here. Run `{suggest('balance')}` first."
        )
    values = artifacts.read_versioned(path)
    parameters: dict[str, Any] = values["parameters"]
    if parameters["matched"] != plan.digest():
        raise ArtifactError(
            f"{balanced} was balanced from other matches than those in {plan.folder}: they have "
            f"been added to or changed since. Run `{suggest('balance')}` again with --overwrite."
        )
    if not storage.exists(storage.join(balanced, CARD)):
        raise ArtifactError(
            f"{balanced}: balancing has not come to its end. "
            f"Run the same `{suggest('balance')}` again; it goes on where it was."
        )
    return parameters


def _remove_others(folder: str, parameters: str) -> None:
    """Remove the files of entries that are those of another set."""
    table = storage.join(folder, ENTRY_FILES[0])
    if storage.exists(table) and artifacts.read_stamp(table).get("parameters") != parameters:
        for name in ENTRY_FILES:
            storage.remove(storage.join(folder, name))


def _refuse_other(folder: str, parameters: str) -> None:
    path = storage.join(folder, CARD)
    if storage.exists(path):
        found = artifacts.read_json(path).get("balanced", parameters)
        if found != parameters:
            raise ArtifactError(
                f"{path} is the card of another balanced set. "
                "Choose another --output, or replace it with --overwrite."
            )
