"""`curate train --teacher … --students …`: students of one teacher, in one pass over shards.

Each student is a run of its own, `<output>/<student>/`, with its tokenizer, optimizer, averages,
checkpoints, log and card; a batch is loaded once, in the largest resolution, and the teacher sees
it once. They go on together, from the newest step that all of them have a checkpoint of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, NamedTuple

from curate.errors import ArtifactError, UsageError
from curate.files import storage
from curate.pipelines.executor.stopping import current_request
from curate.pipelines.train import stage
from curate.pipelines.train.extras import TrainExtras
from curate.pipelines.train.files import RunFiles
from curate.pipelines.train.identity import identity
from curate.pipelines.train.loop import TrainLoop, close, run_together
from curate.pipelines.train.part import TrainRun
from curate.pipelines.views.progress import log
from curate.training import require_packages
from curate.training.loop.config import StepOptions, TrainConfig
from curate.training.tars.promised import Listing

__all__ = ["train_students"]


class _Student(NamedTuple):
    """A student: its run, and what that is made of."""

    name: str
    run: TrainRun
    values: dict[str, Any]


def train_students(
    *,
    shards: str | Sequence[str],
    output: str,
    students: Sequence[str],
    config: TrainConfig,
    options: StepOptions | None = None,
    extras: TrainExtras,
    device: str | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train students of a teacher, or go on with them.

    Args:
        shards: as for `train_model`.
        output: folder, in which each student has one by its name.
        students: names of shapes or JSON files, each with ``@tokenizer`` behind it if it has its
            own; a student is called as its shape.
        config: how to train, with `distill`; of all students.
        options: how a step is computed.
        extras: what goes on around the steps, the teacher among it.
        device: such as ``cpu`` or ``cuda``; None for a GPU if there is one.
        quiet: no progress.

    Returns:
        The model card of each student by its name; or where they stopped.

    Raises:
        UsageError: there is no teacher, or two students have one name.
        ArtifactError: a student's folder holds another run, or they have no step in common.
    """
    require_packages("curate train")
    from curate.training.data.loader import list_shards
    from curate.training.loop.distributed import joined_world, wait_for_all

    asked = _asked(students, extras, config)
    places = [shards] if isinstance(shards, str) else shards
    listings: dict[str, Listing] = {}
    tars = [tar for place in places for tar in list_shards(place, listings)]
    with joined_world(device) as world, stage.only_driver(world, output):
        shapes = {name: stage.shape_of(model, None) for name, (model, _) in asked.items()}
        size = max(shape.image_size for shape in shapes.values())
        group = [
            _open(world, tars, storage.join(output, name), name, shapes[name], size,
                  config=config, options=options, quiet=quiet, listings=listings,
                  extras=replace(extras, tokenizer=tokenizer or extras.tokenizer))
            for name, (_, tokenizer) in asked.items()
        ]  # fmt: skip
        if all(storage.exists(s.run.files.card) for s in group):
            return {"students": {s.name: stage.finished_card(s.run.files) for s in group}}
        found = _train(group, world, size)
        wait_for_all(world)
        return {"students": found}


def _asked(
    students: Sequence[str], extras: TrainExtras, config: TrainConfig
) -> dict[str, tuple[str, str | None]]:
    """Return shape and tokenizer of each student by its name."""
    if extras.teacher is None:
        raise UsageError("--students learn from a --teacher; name one")
    if config.keep_checkpoints < 2:
        raise UsageError("--students need --keep-checkpoints 2 or more, to go on from one step")
    if extras.init is not None:
        raise UsageError("--init is of one model; train that student by itself, without --students")
    asked: dict[str, tuple[str, str | None]] = {}
    for student in students:
        model, mark, tokenizer = student.partition("@")
        name = PurePath(model).name.removesuffix(".json").lower()
        if name in asked:
            raise UsageError(f"two students are called {name}; give their shapes other names")
        asked[name] = (model, tokenizer if mark else None)
    return asked


def _open(
    world: Any, tars: list[str], folder: str, name: str, shape: Any, size: int, *,
    config: TrainConfig, options: StepOptions | None, extras: TrainExtras, quiet: bool,
    listings: Mapping[str, Listing],
) -> _Student:  # fmt: skip
    """Open the folder of a student, and prepare it."""
    from curate.training.loop.distributed import wait_for_all

    is_quiet = quiet or not world.is_main
    start = stage.prepare_start(shape, init=None, tokenizer=extras.tokenizer)
    agreed = stage.agreed(
        world, tars, extras, folder, config, overwrite=False, quiet=is_quiet,
        identify=lambda facts, lanes: identity(facts, shape, config, extras, start, lanes),
        listings=listings,
    )  # fmt: skip
    # Crops are cut in the largest resolution, and made smaller for the others.
    loader = {**agreed.values["loader"], **({"cut_at": size} if size != shape.image_size else {})}
    values = {**agreed.values, "loader": loader}
    files = RunFiles(folder)
    stage.check_folder(files, values, agreed.facts, overwrite=False)
    wait_for_all(world)
    if world.is_main:
        stage.prepare(files, values, agreed.facts, anew=False)
    wait_for_all(world)
    run = TrainRun(
        files=files, tars=stage.paths(tars, agreed.facts), facts=agreed.facts, lanes=agreed.lanes,
        shape=shape, config=config, options=options or StepOptions(), extras=extras, start=start,
        world=world, quiet=is_quiet,
    )  # fmt: skip
    run.open_texts(values)
    return _Student(name, run, values)


def _common_step(group: Sequence[_Student], world: Any) -> int:
    """Return the newest step that all have a checkpoint of; later ones are removed.

    Raises:
        ArtifactError: one has none of it.
    """
    from curate.training.loop.distributed import gather_objects, wait_for_all

    steps = [_steps(student.run.files) for student in group]
    step = gather_objects(min(max(found, default=0) for found in steps), world)[0]
    for student, found in zip(group, steps, strict=True):
        if step and step not in found:
            raise ArtifactError(
                f"{student.run.files.folder}: there is no checkpoint of step {step}, the last that "
                "all students have. Remove the folders of the students to begin anew."
            )
    wait_for_all(world)
    if world.is_main:
        for student, found in zip(group, steps, strict=True):
            for later in found:
                if later > step:
                    files = student.run.files
                    files.remove_checkpoint(files.step_checkpoint(later))
    wait_for_all(world)
    return int(step)


def _steps(files: RunFiles) -> list[int]:
    names = [path.rpartition("step-")[2] for path in files.step_checkpoints()]
    return [int(name.removesuffix(".pt")) for name in names]


def _train(group: Sequence[_Student], world: Any, size: int) -> dict[str, Any]:
    """Train all students to the end, or until a stop is asked for."""
    from curate.training.data.prefetch import DevicePrefetcher

    step = _common_step(group, world)
    first = group[0].run
    teacher, found = first.teacher()
    tokenizers = [student.run.tokenizer() for student in group]
    words = found or tokenizers[0]  # stored vectors need none
    distinct: list[Any] = []
    for one in [*tokenizers, words]:
        if not any(one == d and one.context_length == d.context_length for d in distinct):
            distinct.append(one)
    at = [_at(distinct, one) for one in [*tokenizers, words]]
    loops = [
        student.run.begin(tokenizer, teacher, step)
        for student, tokenizer in zip(group, tokenizers, strict=True)
    ]
    log(f"{len(loops)} students of one teacher, from step {step}", quiet=first.quiet)
    loading = replace(first.loading(), image_size=size)
    batches = loading.batches(distinct[0], loops[0].progress.position, distinct[1:])
    stream = DevicePrefetcher(batches, world.device)
    try:
        share = _Sharing(loops, [s.run.shape.image_size for s in group], at)
        is_done = run_together(loops, stream, current_request(), share)
    finally:
        stream.close()
        for loop in loops:
            close(loop)
    pairs = list(zip(group, loops, strict=True))
    if not is_done:
        return {student.name: student.run.stopped(loop) for student, loop in pairs}
    return {student.name: student.run.finish(loop, student.values) for student, loop in pairs}


def _at(distinct: Sequence[Any], one: Any) -> int:
    same = (one == d and one.context_length == d.context_length for d in distinct)
    return next(i for i, is_same in enumerate(same) if is_same)


class _Sharing:
    """Gives of a batch each student's own, and what the teacher says of it."""

    def __init__(self, loops: Sequence[TrainLoop], sizes: Sequence[int], at: Sequence[int]) -> None:
        self._loops, self._sizes, self._at = loops, sizes, at

    def __call__(self, batch: Any) -> list[tuple[Any, Any]]:
        import torch

        from curate.training.loop.distill import resized

        trainer = self._loops[0].trainer
        images = torch.as_tensor(batch.images).to(trainer.device)
        tokens = [batch.tokens, *batch.more_tokens]
        asked = replace(batch, more_tokens=(tokens[self._at[-1]],))
        taught = trainer.distiller.features(asked, images)
        of_size = {size: resized(images, size) for size in set(self._sizes)}
        return [
            (replace(batch, images=of_size[size], tokens=tokens[at], more_tokens=()), taught)
            for size, at in zip(self._sizes, self._at, strict=False)
        ]
