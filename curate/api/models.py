"""`train` and `evaluate`: shards in, a model out, and how good it is."""

from collections.abc import Sequence
from typing import Any

from curate.api.calls.command import command
from curate.api.calls.names import (
    captions_of,
    encoder_of,
    expert_of,
    init_of,
    model_of,
    refuse_with_students,
    run_or_model,
    scale_of,
    shards_of,
    sizes_of,
)
from curate.api.calls.options import Folder, listed, num_workers, path_of, place_of
from curate.api.results import EvalResult, TrainResult

__all__ = ["evaluate", "train"]


@command
def train(
    *,
    name: str = "clip",
    model: str | None = None,
    steps: int = 1000,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    warmup_steps: int = 50,
    schedule: str = "cosine",
    decay_share: float = 0.2,
    weight_decay: float = 0.1,
    beta2: float = 0.98,
    max_grad_norm: float | None = None,
    loss: str = "clip",
    patch_dropout: float = 0.0,
    resolution_schedule: str | None = None,
    ema_decay: float | None = None,
    precision: str = "auto",
    seed: int = 0,
    accumulate: int = 1,
    loss_chunk: int = 1024,
    grad_checkpointing: bool = False,
    compile: bool | None = None,
    sharding: str = "ddp",
    init: str | None = None,
    teacher: str | None = None,
    students: str | list[str] | None = None,
    teacher_scale: str = "200",
    contrastive_weight: float = 1.0,
    relation_weight: float = 1.0,
    feature_weight: float = 0.0,
    tokenizer: str | None = None,
    trim_vocabulary: bool = False,
    checkpoint_every: int = 500,
    checkpoint_minutes: float = 0.0,
    keep_checkpoints: int = 2,
    log_every: int = 20,
    max_bad_steps: int = 10,
    tracker: str | list[str] | None = None,
    eval_config: str | None = None,
    eval_every: int = 0,
    peak_tflops: float | None = None,
    online: str | None = None,
    unit: str = "pair",
    batch_by: str = "order",
    super_batch: float = 2.0,
    decoder: str = "auto",
    threads: int | None = None,
    captions: str | list[str] | None = None,
    json_captions: str | None = None,
    syn_ratio: float | None = None,
    caption_weights: str | None = None,
    expert: int | None = None,
    outside: float = 0.02,
    clusters: Folder = None,
    shards: Folder | list[str] = None,
    shard_cache: str | None = None,
    shard_cache_gb: float = 50.0,
    lanes: int | None = None,
    allow_lost: bool = False,
    device: str | None = None,
    workspace: Folder = None,
    output: Folder = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> TrainResult:
    """Train a CLIP model on balanced shards, or go on with an interrupted run.

    On several GPUs: torchrun --nproc-per-node 8 --no-python curate train …

    Example: curate train --model toy --steps 500

    Args:
        name: of the run.
        model: name of a shape, or a JSON file; default: init's, else vit-b-32.
        steps: optimizer steps.
        batch_size: pairs per step, of all processes.
        learning_rate: at its peak.
        warmup_steps: steps to the peak.
        schedule: cosine, or wsd: stable, then down.
        decay_share: of the steps, for wsd's descent.
        weight_decay: of AdamW.
        beta2: of AdamW.
        max_grad_norm: shorten longer gradients.
        loss: clip or siglip.
        patch_dropout: share of patches left out.
        resolution_schedule: sizes of images, with their share of the steps: 112:0.9,224:0.1.
        ema_decay: publish averaged weights.
        precision: auto, bfloat16, float32, float16; auto: bfloat16 on a GPU.
        seed: of weights, order and crops.
        accumulate: parts of a batch, to save memory; all negatives stay.
        loss_chunk: rows of logits in memory at once.
        grad_checkpointing: less memory, a third more arithmetic.
        compile: compile the blocks; default: on a GPU.
        sharding: ddp: a model each; fsdp: weights shared out among processes.
        init: begin with the weights of a file, a run, an export or a published model's name; with
            expert: a run, RUN@STEP for one of its checkpoints.
        teacher: run, export or published model to learn from as well.
        students: shapes of several students of the teacher instead of a model, each a run in a
            folder of its own; NAME or FILE, with @TOKENIZER behind it; given again, one more.
        teacher_scale: inverse temperature of its softmax, or own: the one that it learned.
        contrastive_weight: with a teacher: of the loss that needs none.
        relation_weight: with a teacher: of the divergence from its softmax over a batch.
        feature_weight: with a teacher: of the distance to its features.
        tokenizer: file or Hub name; default: init's, or learned.
        trim_vocabulary: leave out the tokens, and their embeddings, that no caption uses.
        checkpoint_every: steps; 0: at the end only.
        checkpoint_minutes: also by the clock; 0: no.
        keep_checkpoints: newest ones that stay.
        log_every: steps between lines of log.jsonl.
        max_bad_steps: steps in a row without a finite loss before it stops.
        tracker: tensorboard, wandb.
        eval_config: an eval.json of sets to evaluate on.
        eval_every: steps, and at the end; 0: only then.
        peak_tflops: of a device, for MFU; default: by its name.
        online: folder of balance: balance while loading, by its t.
        unit: pair, or image: one pair of each image per epoch.
        batch_by: what makes pairs a batch: order; length: texts of like length; entries: those
            whose entries were seen least; diverse: whose entries are rare in the super-batch.
        super_batch: pairs looked at for each that is chosen by entries.
        decoder: auto, simplejpeg, pillow, nvimgcodec.
        threads: that decode; default: all cores.
        captions: table, folder or pattern of captions by pair id, or NAME=TABLE; several, for all.
        json_captions: fields of the shards' JSON that are captions, with commas.
        syn_ratio: share of texts that are captions, such as 0.15.
        caption_weights: instead: source=weight with commas, alt for the alt-text.
        expert: cluster that it is trained on, from a checkpoint of init on, as init was trained.
        outside: share of the pairs of other clusters that an expert is trained on as well.
        clusters: clusters folder instead of the workspace's.
        shards: folder, pattern or URL of tars instead of balanced/; given again, one more.
        shard_cache: local folder for copies of remote tars.
        shard_cache_gb: of such copies; the oldest make room.
        lanes: parts of the shards that batches take from side by side, so that a machine reads its
            own; default: one for each machine.
        allow_lost: go on without shards that are not there any more.

    Returns:
        The model card; of a run that was asked to stop, how far it came.

    Raises:
        UsageError: an option is out of range.
        ArtifactError: the run was begun with something else.
        InputError: shards or weights cannot be read.
        MissingExtraError: the extra `train` is not installed.
    """
    from curate.pipelines.train import TrainExtras, check_run_name, train_model, train_students
    from curate.training.loop.config import DistillConfig, StepOptions, TrainConfig

    place = place_of(workspace)
    folder = path_of(output) or place.run(check_run_name(name))
    if threads is not None:
        num_workers(threads)
    config = TrainConfig(
        steps=steps, batch_size=batch_size, learning_rate=learning_rate, warmup_steps=warmup_steps,
        schedule=schedule, decay_share=decay_share, weight_decay=weight_decay, beta2=beta2,
        max_grad_norm=max_grad_norm, loss=loss, patch_dropout=patch_dropout,
        resolution_schedule=sizes_of(resolution_schedule), ema_decay=ema_decay,
        precision=precision, seed=seed, checkpoint_every=checkpoint_every,
        checkpoint_minutes=checkpoint_minutes, keep_checkpoints=keep_checkpoints,
        log_every=log_every, max_bad_steps=max_bad_steps,
        distill=None
        if teacher is None
        else DistillConfig(
            contrastive_weight=contrastive_weight,
            relation_weight=relation_weight,
            feature_weight=feature_weight,
            teacher_scale=scale_of(teacher_scale),
        ),
    )  # fmt: skip
    options = StepOptions(
        accumulate=accumulate, loss_chunk=loss_chunk, grad_checkpointing=grad_checkpointing,
        compile=compile, sharding=sharding)  # fmt: skip
    extras = TrainExtras(
        init=init if init is None or expert is None else init_of(init, place),
        expert=expert_of(
            expert, path_of(clusters) or place.folder("clusters"), outside, shard_cache_gb
        ),
        teacher=None if teacher is None else model_of(teacher, place),
        tokenizer=tokenizer,
        trim_vocabulary=trim_vocabulary,
        datacard=None if shards else f"{place.balanced}/datacard.json",
        balanced=None if shards else place.balanced,
        trackers=tuple(listed(tracker)),
        eval_config=eval_config,
        eval_every=eval_every,
        peak_tflops=peak_tflops,
        online=online,
        unit=unit, batch_by=batch_by, super_batch=super_batch, decoder=decoder,
        threads=threads,
        shard_cache=shard_cache,
        shard_cache_gb=shard_cache_gb,
        lanes=lanes,
        allow_lost=allow_lost,
        captions=captions_of(captions, json_captions, syn_ratio, caption_weights, shard_cache_gb),
    )  # fmt: skip
    places = shards_of(shards) or f"{place.balanced}/shards"
    if listed(students):
        refuse_with_students(
            resolution_schedule=resolution_schedule,
            model=model,
            overwrite=overwrite,
            dry_run=dry_run,
            expert=expert is not None,
        )
        trained = train_students(
            shards=places, output=folder, students=listed(students), config=config,
            options=options, extras=extras, device=device, quiet=quiet,
        )  # fmt: skip
        return TrainResult(trained, folder)
    trained = train_model(
        shards=places, output=folder, model=model, config=config, options=options, extras=extras,
        device=device, overwrite=overwrite, dry_run=dry_run, quiet=quiet,
    )  # fmt: skip
    return TrainResult(trained, folder)


@command
def evaluate(
    data: str | Sequence[str] = (),
    *,
    name: str = "clip",
    ensemble: str | list[str] | None = None,
    text_encoder: str | None = None,
    clusters: Folder = None,
    config: str | None = None,
    format: str = "auto",
    classes: str | None = None,
    labels: str | None = None,
    templates: str | None = None,
    languages: str | Sequence[str] = "",
    group_by: str | None = None,
    texts: str = "local",
    prompt: str = "{question} {option}",
    batch_size: int = 256,
    run: Folder = None,
    model: str | None = None,
    tokenizer: str | None = None,
    device: str | None = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
) -> EvalResult:
    """Evaluate a model: zero-shot classes, retrieval of captions, multiple-choice questions.

    Example: curate eval imagenet/val --classes classes.txt --templates templates.txt

    Args:
        data: folders of classes, WebDataset, Parquet, tables that name image files,
            Crossmodal-3600, CVQA.
        name: of the run, or of a published model.
        ensemble: instead of one model, experts of clusters: a run's name or folder; given again,
            one more.
        text_encoder: of the clusters, for the experts' weights: a run, or as for embed.
        clusters: clusters folder instead of the workspace's.
        config: eval.json that names more sets.
        format: folder, wds, parquet, table (CSV and JSON lines too), xm3600, cvqa; auto: by the
            files.
        classes: file, a class per line, its names separated by tabs; {lang} in it.
        labels: Babel-ImageNet's JSON, instead of classes.
        templates: file, a prompt per line, such as: a photo of {}.
        languages: codes, comma-separated; all there are if empty.
        group_by: column to give figures by.
        texts: CVQA: local or english.
        prompt: CVQA: of an answer.
        batch_size: images at once.
        run: folder of the run or of an export, or a file of weights, instead of name.
        model: of a file: name or JSON file.
        tokenizer: of a file: file or Hub name.
        workers: threads that decode; default: all cores.

    Returns:
        Per set: its task, its number of images, and the figures with 95 % intervals; of an
        ensemble, also those of each expert, of the plain mean of all, and of the best expert.

    Raises:
        UsageError: there is nothing to evaluate on.
        InputError: a set cannot be read, or lacks images, labels, texts or class names.
        ArtifactError: the run is not finished.
    """
    from curate.pipelines.evaluate import evaluate_ensemble, evaluate_model

    place = place_of(workspace)
    codes = languages.split(",") if isinstance(languages, str) else languages
    asked: dict[str, Any] = {
        "output": path_of(output),
        "config": config,
        "device": device,
        "batch_size": batch_size,
        "workers": num_workers(workers),
        "format": format,
        "classes": classes,
        "labels": labels,
        "templates": templates,
        "languages": tuple(code for code in codes if code),
        "group_by": group_by,
        "texts": texts,
        "prompt": prompt,
    }
    if ensemble:
        found = evaluate_ensemble(
            listed(data),
            runs=[model_of(one, place) for one in listed(ensemble)],
            clusters=path_of(clusters) or place.folder("clusters"),
            text_encoder=text_encoder and encoder_of(text_encoder, place),
            **asked,
        )
        return EvalResult(found, asked["output"])
    folder = path_of(run) or run_or_model(name, place)
    found = evaluate_model(
        listed(data), run=folder, model=model, tokenizer=tokenizer, **asked,
    )  # fmt: skip
    return EvalResult(found, folder)
