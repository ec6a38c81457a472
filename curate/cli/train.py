"""The command `curate train`: its many options, one call, the result."""

import os
from typing import Annotated

import typer

from curate.cli.options import Debug, DryRun, Json, Output, Overwrite, Quiet, Root, finish
from curate.pipelines.store.workspace import Workspace

__all__ = ["train"]


def train(
    name: Annotated[str, typer.Option(help="Of the run.")] = "clip",
    model: Annotated[str, typer.Option(help="Name of a model, or a JSON file.")] = "vit-b-32",
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = 1000,
    batch_size: Annotated[int, typer.Option(help="Pairs per step, of all processes.")] = 256,
    learning_rate: Annotated[float, typer.Option(help="At its peak.")] = 1e-3,
    warmup_steps: Annotated[int, typer.Option(help="Steps to the peak.")] = 50,
    schedule: Annotated[str, typer.Option(help="cosine, or wsd: stable, then down.")] = "cosine",
    decay_share: Annotated[float, typer.Option(help="Of the steps, for wsd's descent.")] = 0.2,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = 0.1,
    beta2: Annotated[float, typer.Option(help="Of AdamW.")] = 0.98,
    max_grad_norm: Annotated[float | None, typer.Option(help="Shorten longer gradients.")] = None,
    loss: Annotated[str, typer.Option(help="clip or siglip.")] = "clip",
    patch_dropout: Annotated[float, typer.Option(help="Share of patches left out.")] = 0.0,
    ema_decay: Annotated[float | None, typer.Option(help="Publish averaged weights.")] = None,
    precision: Annotated[
        str, typer.Option(help="auto, bfloat16, float32, float16; auto: bfloat16 on a GPU.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of weights, order and crops.")] = 0,
    accumulate: Annotated[
        int, typer.Option(help="Parts of a batch, to save memory; all negatives stay.")
    ] = 1,
    loss_chunk: Annotated[int, typer.Option(help="Rows of logits in memory at once.")] = 1024,
    grad_checkpointing: Annotated[
        bool, typer.Option("--grad-checkpointing", help="Less memory, a third more arithmetic.")
    ] = False,
    compile_blocks: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="Default: on a GPU.")
    ] = None,
    sharding: Annotated[
        str, typer.Option(help="ddp: a model each; fsdp: weights shared out among processes.")
    ] = "ddp",
    init: Annotated[
        str | None, typer.Option(help="Begin with the weights of a file, a run or an export.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="File or Hub name; default: init's, or learned.")
    ] = None,
    checkpoint_every: Annotated[int, typer.Option(help="Steps; 0: at the end only.")] = 500,
    checkpoint_minutes: Annotated[float, typer.Option(help="Also by the clock; 0: no.")] = 0.0,
    keep_checkpoints: Annotated[int, typer.Option(help="Newest ones that stay.")] = 2,
    log_every: Annotated[int, typer.Option(help="Steps between lines of log.jsonl.")] = 20,
    max_bad_steps: Annotated[
        int, typer.Option(help="Steps in a row without a finite loss before it stops.")
    ] = 10,
    tracker: Annotated[list[str] | None, typer.Option(help="tensorboard, wandb.")] = None,
    eval_config: Annotated[
        str | None, typer.Option(help="An eval.json of sets to evaluate on.")
    ] = None,
    eval_every: Annotated[int, typer.Option(help="Steps, and at the end; 0: only then.")] = 0,
    peak_tflops: Annotated[
        float | None, typer.Option(help="Of a device, for MFU; default: by its name.")
    ] = None,
    online: Annotated[
        str | None, typer.Option(help="Folder of balance: balance while loading, by its t.")
    ] = None,
    unit: Annotated[
        str, typer.Option(help="pair, or image: one pair of each image per epoch.")
    ] = "pair",
    decoder: Annotated[str, typer.Option(help="auto, simplejpeg, pillow, nvimgcodec.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="That decode; default: all cores.")
    ] = None,
    shards: Annotated[
        str | None, typer.Option(help="Folder, pattern or URL of tars instead of balanced/.")
    ] = None,
    shard_cache: Annotated[
        str | None, typer.Option(help="Local folder for copies of remote tars.")
    ] = None,
    shard_cache_gb: Annotated[
        float, typer.Option(min=0, help="Of such copies; the oldest make room.")
    ] = 50.0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda; a GPU if there is one.")] = None,
    workspace: Root = "data",
    output: Output = None,
    as_json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Train a CLIP model on balanced shards, or go on with an interrupted run.

    On several GPUs: torchrun --nproc-per-node 8 --no-python curate train …

    Example: curate train --model toy --steps 500
    """
    from curate.pipelines.train.stage import TrainExtras, check_run_name, train_model
    from curate.pipelines.train.view import train_table
    from curate.training.loop.config import StepOptions, TrainConfig

    place = Workspace(workspace)
    folder = output or place.run(check_run_name(name))
    is_main = os.environ.get("RANK", "0") == "0"  # the others of torchrun's have nothing to say
    finish(
        lambda: train_model(
            shards=shards or f"{place.balanced}/shards",
            output=folder,
            model=model,
            config=TrainConfig(
                steps=steps,
                batch_size=batch_size,
                learning_rate=learning_rate,
                warmup_steps=warmup_steps,
                schedule=schedule,
                decay_share=decay_share,
                weight_decay=weight_decay,
                beta2=beta2,
                max_grad_norm=max_grad_norm,
                loss=loss,
                patch_dropout=patch_dropout,
                ema_decay=ema_decay,
                precision=precision,
                seed=seed,
                checkpoint_every=checkpoint_every,
                checkpoint_minutes=checkpoint_minutes,
                keep_checkpoints=keep_checkpoints,
                log_every=log_every,
                max_bad_steps=max_bad_steps,
            ),
            options=StepOptions(
                accumulate=accumulate,
                loss_chunk=loss_chunk,
                grad_checkpointing=grad_checkpointing,
                compile=compile_blocks,
                sharding=sharding,
            ),
            extras=TrainExtras(
                init=init,
                tokenizer=tokenizer,
                datacard=None if shards else f"{place.balanced}/datacard.json",
                balanced=None if shards else place.balanced,
                trackers=tuple(tracker or ()),
                eval_config=eval_config,
                eval_every=eval_every,
                peak_tflops=peak_tflops,
                online=online,
                unit=unit,
                decoder=decoder,
                threads=threads,
                shard_cache=shard_cache,
                shard_cache_gb=shard_cache_gb,
            ),
            device=device,
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        ),
        lambda result: train_table(result, folder),
        as_json=as_json and is_main,
        quiet=quiet or not is_main,
        debug=debug,
    )
