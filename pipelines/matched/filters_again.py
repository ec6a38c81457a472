"""The filters that a balanced set was made with, asked again, without trusting what its plan says.

A plan may be somebody else's. The filters that it names are compared, and nothing is imported, no
file read and no server asked because a plan says so: code and files are named by the user.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curate.errors import ArtifactError, UsageError
from curate.files.remedies import suggest
from curate.pipelines.inputs.filters import load_filters, needs_nothing, recorded_name
from curate.pipelines.store import artifacts

__all__ = ["filters_again", "recorded_filters", "refuse_unused"]


def recorded_filters(parameters: Mapping[str, Any], where: str) -> list[str]:
    """Return the names of the filters that a plan's parameters record, as texts and nothing else.

    Raises:
        ArtifactError: what stands there is no list of filters.
    """
    found = parameters.get("filters", [])
    entries = found if isinstance(found, list) else [None]
    names = [one.get("filter") if isinstance(one, dict) else None for one in entries]
    texts = [name for name in names if isinstance(name, str)]
    if len(texts) < len(names):
        raise ArtifactError(
            f"{where}: its plan does not say which filters it was made with. "
            f"Make the set again: `{suggest('balance', '--overwrite')}`."
        )
    return texts


def filters_again(
    parameters: Mapping[str, Any], named: Sequence[str], where: str
) -> tuple[str, ...]:
    """Return the filters that a set was made with, as `--filter` takes them.

    Those that need no file and no code but what is installed are taken by their names; all others
    the user has to name. They are loaded, and what they are made from has to be what is recorded.

    Args:
        parameters: of the set, in its plan.
        named: filters that the user named.
        where: the set's folder, for messages.

    Raises:
        ArtifactError: a filter is not named, or is another one now.
    """
    names = recorded_filters(parameters, where)
    known = {recorded_name(spec): spec for spec in named}
    if missing := [n for n in names if n not in known and not needs_nothing(n)]:
        again = " ".join(f"--filter {shlex.quote(name)}" for name in missing)
        raise ArtifactError(
            f"{where}: this set was made with {again}. A plan's filters are not loaded because it "
            f"names them: if you trust this one, give the same again, {again}"
        )
    specs = tuple(known.get(name, name) for name in names)
    artifacts.require_same(
        where, {"filters": parameters.get("filters", [])},
        {"filters": load_filters(specs).made_from},
        remedy=f"Give the filter as it was then, or run `{suggest('balance')}` again with "
        "--overwrite.",
    )  # fmt: skip
    return specs


def refuse_unused(named: Sequence[str], used: Iterable[str]) -> None:
    """Refuse filters that no set was made with.

    Raises:
        UsageError: there is one.
    """
    taken = set(used)
    if unused := [spec for spec in named if spec not in taken]:
        raise UsageError(
            f"--filter {unused[0]}: the set was made without it. To use it, run "
            f"`{suggest('balance')}` with it; here it only repeats what a set was made with."
        )
