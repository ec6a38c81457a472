"""`curate status`: what is done in a workspace, what is stale and why, and what is going on."""

from collections.abc import Callable
from typing import Any

from curate.errors import ArtifactError
from curate.files import storage
from curate.files.addresses import without_secrets
from curate.files.listing import file_sizes, sizes_and_times
from curate.files.remedies import suggest
from curate.pipelines.executor.lease import holder
from curate.pipelines.matched.drops import Drops
from curate.pipelines.matched.notes import noted_metadata, same_folder
from curate.pipelines.matched.plan import PLAN as MATCHED_PLAN
from curate.pipelines.matched.plan import MatchedPlan
from curate.pipelines.matched.stale import new_metadata
from curate.pipelines.matched.tombstones import Tombstones
from curate.pipelines.status.derived import derived_stages
from curate.pipelines.status.log import LogReader
from curate.pipelines.store import artifacts
from curate.pipelines.store.metadata_store import MANIFEST, MetadataStore, index_path
from curate.pipelines.store.workspace import Workspace, part_name
from curate.pipelines.train import progress_of_run

__all__ = ["StatusReader"]

_SHOWN = 5

Stage = dict[str, Any]


class StatusReader:
    """Looks at a workspace, again and again if asked; what has been read of logs stays read."""

    def __init__(self, workspace: str) -> None:
        self.place = Workspace(workspace)
        # Of another place only if matches were made with it, and there is none here.
        self._matched_with = noted_metadata(self.place.matched) or self.place.metadata
        is_here = storage.exists(storage.join(self.place.metadata, MANIFEST))
        self._outputs = {
            "metadata": self.place.metadata if is_here else self._matched_with,
            "pairs": self.place.folder("pairs"),
            "matched": self.place.matched,
            "balanced": self.place.balanced,
        }
        self._logs = {name: LogReader(output) for name, output in self._outputs.items()}

    def read(self) -> dict[str, Any]:
        """Return the state of each stage as JSON-able values."""
        looks: dict[str, Callable[[str], Stage]] = {
            "metadata": _metadata, "pairs": _pairs, "matched": self._matched,
            "balanced": self._balanced,
        }  # fmt: skip
        stages = {}
        for name, look in looks.items():
            output = self._outputs[name]
            stage = look(output)
            stage["path"] = without_secrets(output)
            if holder(output) is not None:
                stage["state"] = "running"
            stage["run"] = self._logs[name].figures()
            stages[name] = stage
        metadata = without_secrets(self._matched_with)
        if not same_folder(self._matched_with, self._outputs["metadata"]):
            stages["matched"]["elsewhere"] = f"with the metadata in {metadata}"
        elif not same_folder(self._matched_with, self.place.metadata):
            stages["metadata"]["elsewhere"] = f"in {metadata}"
        stages |= self._derived() | self._runs()
        return {"workspace": without_secrets(self.place.root), "stages": stages}

    def _derived(self) -> dict[str, Stage]:
        """Return what stands on the matches, as far as it is there."""
        stages = derived_stages(self.place)
        for name, stage in stages.items():
            output = self.place.folder(name)
            if name not in self._logs:
                self._logs[name] = LogReader(output)
            if holder(output) is not None:
                stage["state"] = "running"
            stage["path"] = without_secrets(output)
            stage["run"] = self._logs[name].figures()
        return stages

    def _runs(self) -> dict[str, Stage]:
        """Return the training runs, each as a stage."""
        stages = {}
        for path in storage.list_files(self.place.folder("runs"), ""):
            output = path.rstrip("/")
            stage = _training(output)
            if stage is None:
                continue
            if holder(output) is not None:
                stage["state"] = "running"
            name = output.rsplit("/", 1)[-1]
            stages[f"runs/{name}"] = {**stage, "path": without_secrets(output), "run": None}
        return stages

    def _matched(self, output: str) -> Stage:
        if not storage.exists(storage.join(output, MATCHED_PLAN)):
            return _absent()
        try:
            plan = MatchedPlan.read(output)
        except ArtifactError as error:
            return _stage("stale", [str(error)])
        done = _num_parts_done(output, len(plan.parts))
        why = self._new_metadata(plan) + _changed_inputs(plan)
        if Tombstones.read(output).digest() != plan.retracted:
            why.append("a retraction has not come to its end: run the same `curate retract` again")
        if Drops.listed(output) != plan.dropped:
            why.append("a list of dropped pairs has not been counted without: run the command that "
                       "drops pairs again")  # fmt: skip
        return _judged(why, is_complete=plan.summary() is not None, done=done,
                       total=len(plan.parts), unit="parts")  # fmt: skip

    def _new_metadata(self, plan: MatchedPlan) -> list[str]:
        if not storage.exists(storage.join(self._matched_with, MANIFEST)):
            return []
        why = new_metadata(plan, MetadataStore.open(self._matched_with).hashes)
        return [] if why is None else [why]

    def _balanced(self, output: str) -> Stage:
        path = storage.join(output, "plan.json")
        if not storage.exists(path):
            return _absent()
        parameters = artifacts.read_json(path)["parameters"]
        why = []
        total = None
        if storage.exists(storage.join(self.place.matched, MATCHED_PLAN)):
            plan = MatchedPlan.read(self.place.matched)
            total = len(plan.parts) if parameters["format"] == "parquet" else None
            if plan.digest() != parameters["matched"]:
                why.append(
                    f"`matched/` has changed since: run `{suggest('balance')}` as before, "
                    "with --overwrite"
                )
        done = len(_names(output, "shards", ".tar"))
        if parameters["format"] == "parquet":
            done = _num_parts_done(output, total)
        card = storage.join(output, "datacard.json")
        is_complete = storage.exists(card)
        return _judged(why, is_complete=is_complete, done=done, total=total,
                       unit="parts" if parameters["format"] == "parquet" else "shards")  # fmt: skip


def _stage(state: str, why: list[str], **figures: Any) -> Stage:
    return {"state": state, "why": why, **figures}


def _absent() -> Stage:
    return _stage("absent", [])


def _judged(why: list[str], *, is_complete: bool, **figures: Any) -> Stage:
    state = "stale" if why else "complete" if is_complete else "incomplete"
    return _stage(state, why, **figures)


def _metadata(output: str) -> Stage:
    if not storage.exists(storage.join(output, MANIFEST)):
        built = [n for n in file_sizes(output) if n.endswith(".parquet")]
        figures = {"done": len(built), "total": None, "unit": "languages"}
        return _stage("incomplete", [], **figures) if built else _absent()
    languages = MetadataStore.open(output).hashes
    names = file_sizes(output)
    lost = [code for code in sorted(languages) if f"{code}.parquet" not in names]
    again = suggest("build-metadata", "--lang", ",".join(lost))
    why = [f"the entries of {_few(lost)} are gone: run `{again}`"] if lost else []
    bare = [
        code for code in sorted(languages)
        for path in (index_path("", code, "standard"), index_path("", code, "metaclip"))
        if path.rsplit("/", 1)[-1] not in names and code not in lost
    ]  # fmt: skip
    if bare:
        listed = _few(list(dict.fromkeys(bare)))
        why.append(f"the index of {listed} is gone: run `{suggest('build-metadata', '--reindex')}`")
    return _judged(why, is_complete=True, done=len(languages) - len(lost), total=len(languages),
                   unit="languages")  # fmt: skip


def _training(output: str) -> Stage | None:
    try:
        found = progress_of_run(output)
    except ArtifactError as error:
        return _stage("stale", [str(error)])
    if found is None:
        return None
    done, total, is_whole = found
    return _judged([], is_complete=is_whole, done=done, total=total, unit="steps")


def _pairs(output: str) -> Stage:
    if not storage.exists(storage.join(output, "_extract", "plan.json")):
        return _absent()
    is_complete = storage.exists(storage.join(output, "_extract", "summary.json"))
    files = [n for n in file_sizes(output) if n.endswith(".parquet")]
    return _judged([], is_complete=is_complete, done=len(files), total=None, unit="files")


def _changed_inputs(plan: MatchedPlan) -> list[str]:
    """Tell which inputs have another size or time now; a removed one changes nothing.

    A server is not asked because somebody else's plan names it.
    """
    are_own = plan.is_sealed()
    inputs = [one for one in plan.inputs if are_own or storage.is_local(one["path"])]
    now = sizes_and_times(one["path"] for one in inputs)
    changed = [
        one["path"]
        for one, found in zip(inputs, now, strict=True)
        if found is not None and found != (one["size_bytes"], one["modified"])
    ]
    told = "may have changed since; `curate match` compares checksums and says so"
    return [f"{_few(changed)} {told}"] if changed else []


def _num_parts_done(output: str, num_parts: int | None) -> int:
    names = file_sizes(storage.join(output, "pairs"))
    if num_parts is None:
        return len(names)
    return sum(part_name(index, "parquet") in names for index in range(num_parts))


def _names(output: str, folder: str, suffix: str) -> list[str]:
    return [n for n in file_sizes(storage.join(output, folder)) if n.endswith(suffix)]


def _few(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
