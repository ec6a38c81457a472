"""`caption` and `train_captioner`: images in, captions out; and what learns to write them."""

from typing import Unpack

from curate.api.calls.command import command
from curate.api.calls.names import model_of, shards_of
from curate.api.calls.options import (
    ClusterOptions,
    Folder,
    num_workers,
    path_of,
    place_of,
    running,
)
from curate.api.results import CaptionerResult, CaptionResult

__all__ = ["caption", "train_captioner"]


@command
def caption(
    captioner: str,
    *,
    endpoint: str | None = None,
    prompts: str | None = None,
    source: str | None = None,
    lang: str = "pair",
    max_tokens: int = 128,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int = 16,
    precision: str = "auto",
    concurrency: int = 8,
    per_second: float | None = None,
    attempts: int = 5,
    timeout: float = 120.0,
    price_in: float | None = None,
    price_out: float | None = None,
    pairs_per_part: int = 2000,
    retry_failed: bool = False,
    max_bad: float = 0.01,
    embeddings: Folder = None,
    matched: Folder = None,
    shards: Folder = None,
    shard_cache: str | None = None,
    shard_cache_gb: float = 50.0,
    device: str | None = None,
    workspace: Folder = None,
    output: Folder = None,
    workers: int | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
    **cluster: Unpack[ClusterOptions],
) -> CaptionResult:
    """Write captions of the images in shards.

    The key of a server is read from CURATE_ENDPOINT_KEY.

    Example: curate caption Qwen/Qwen3-VL-4B --endpoint http://localhost:8000/v1

    Args:
        captioner: run of train-captioner, or image-text-to-text model of the Hub or in a folder;
            with endpoint, the server's name for it.
        endpoint: address of a server that speaks OpenAI's protocol, up to and with /v1.
        prompts: TOML file of templates.
        source: what the captions are called; default: the model's name, without its owner's.
        lang: code of the captions' language; pair: that of each pair.
        max_tokens: of a caption.
        temperature: 0: the likeliest words; else drawn, by a hash of seed and pair.
        top_p: draw from the likeliest words of this share.
        batch_size: images at once, of a model here.
        precision: auto, bfloat16, float32, float16; auto: bfloat16 on a GPU.
        concurrency: requests to a server at once.
        per_second: requests to a server in a second, at most.
        attempts: for a caption.
        timeout: seconds, of an answer.
        price_in: of a million tokens of prompts, for the cost.
        price_out: of a million tokens of captions.
        pairs_per_part: a killed run loses what it has of one part.
        retry_failed: ask again for captions that failed and may come.
        max_bad: share of pairs that may stay without a caption, 0 to 1.
        embeddings: folder of embed: a run of train-captioner reads its vectors of images instead
            of images, if the captioner's own image model made them.
        matched: folder of the pairs that the embeddings are of, instead of the workspace's.
        shards: folder, pattern or URL of tars instead of balanced/.
        shard_cache: local folder for copies of remote tars.
        shard_cache_gb: of such copies; the oldest make room.
        workers: processes, each with the model; default: 1.

    Returns:
        Read = captions + skipped + failed, by reason; tokens, requests and cost.

    Raises:
        UsageError: an option is out of range.
        InputError: there are no shards, or no such model.
        FetchError: the server is down or refuses.
        BadShareError: too many pairs got no caption; what is done is kept.
        ArtifactError: the folder holds captions of something else.
    """
    from curate.pipelines.caption import (
        CaptionerOptions,
        Decoding,
        EndpointOptions,
        caption_shards,
        read_prompts,
    )
    from curate.training import require_packages
    from curate.training.data.shard_cache import ShardCache, default_folder

    require_packages("curate caption")
    place = place_of(workspace)
    name = source or captioner.rstrip("/").rpartition("/")[2]
    folder = path_of(output) or place.captions(name)
    server = None
    if endpoint is not None:
        server = EndpointOptions(
            url=endpoint, model=captioner, concurrency=concurrency, per_second=per_second,
            attempts=attempts, timeout_s=timeout,
        )  # fmt: skip
    with running(cluster):
        found = caption_shards(
            shards=path_of(shards) or f"{place.balanced}/shards",
            output=folder,
            captioner=CaptionerOptions(
                model=captioner,
                endpoint=server,
                prompts=read_prompts(prompts),
                decoding=Decoding(
                    max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed
                ),
                batch_size=batch_size,
                precision=precision,
                device=device,
            ),
            source=name,
            lang=None if lang == "pair" else lang,
            embeddings=path_of(embeddings),
            matched=path_of(matched) or place.matched,
            pairs_per_part=pairs_per_part,
            max_bad=max_bad,
            retry_failed=retry_failed,
            workers=1 if workers is None else num_workers(workers),
            cache=ShardCache(
                folder=shard_cache or default_folder(), max_bytes=int(shard_cache_gb * 1e9)
            ),
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        )
    counts = found.get("counts", {})
    if price_in is not None or price_out is not None:
        spent = counts.get("prompt_tokens", 0) * (price_in or 0.0)
        spent += counts.get("completion_tokens", 0) * (price_out or 0.0)
        found["cost"] = round(spent / 1e6, 6)
    return CaptionResult(found, folder)


@command
def train_captioner(
    *,
    name: str = "captioner",
    phase: str = "pretrain",
    image_model: str | None = None,
    image_shape: str | None = None,
    image_tokenizer: str | None = None,
    language_model: str | None = None,
    init: Folder = None,
    captions: str | list[str] | None = None,
    steps: int = 1000,
    batch_size: int = 256,
    learning_rate: float = 2e-4,
    warmup_steps: int = 200,
    weight_decay: float = 0.2,
    beta2: float = 0.98,
    max_grad_norm: float | None = None,
    ema_decay: float | None = None,
    precision: str = "auto",
    seed: int = 0,
    accumulate: int = 1,
    grad_checkpointing: bool = False,
    compile: bool = False,
    prefix_tokens: int = 40,
    mapper_layers: int = 8,
    mapper_heads: int = 8,
    prompt_tokens: int = 128,
    text_tokens: int = 320,
    prompt_dropout: float = 0.5,
    checkpoint_every: int = 500,
    checkpoint_minutes: float = 0.0,
    keep_checkpoints: int = 2,
    log_every: int = 20,
    max_bad_steps: int = 10,
    threads: int | None = None,
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
) -> CaptionerResult:
    """Train a captioner: a frozen CLIP model, a mapper and a language model.

    First pretrain: of an image's texts the longest is written, another one is the prompt. Then
    finetune, on a table of captions. On several GPUs as train.

    Example: curate train-captioner --image-model data/runs/clip --language-model facebook/opt-125m

    Args:
        name: of the run.
        phase: pretrain or finetune.
        image_model: run, export or published model's name of CLIP; it stays as it is.
        image_shape: name or JSON file of its shape, for a file of published weights.
        image_tokenizer: for weights that come without it.
        language_model: causal language model of the Hub, or in a folder.
        init: begin with a captioner, instead of both.
        captions: table, folder or pattern of captions by pair id, or NAME=TABLE; several, for all.
        steps: optimizer steps.
        batch_size: pairs per step, of all processes.
        learning_rate: at its peak.
        warmup_steps: steps to the peak.
        weight_decay: of AdamW.
        beta2: of AdamW.
        max_grad_norm: shorten longer gradients.
        ema_decay: publish averaged weights.
        precision: auto, bfloat16, float32, float16; auto: bfloat16 on a GPU.
        seed: of weights, order, crops, prompts and dropout.
        accumulate: parts of a batch, to save memory.
        grad_checkpointing: less memory, a third more arithmetic.
        compile: compile the blocks of mapper and language model.
        prefix_tokens: vectors that an image becomes.
        mapper_layers: blocks between feature and language model.
        mapper_heads: of their attention.
        prompt_tokens: of the alt-text, at most.
        text_tokens: of alt-text and caption, at most.
        prompt_dropout: share of pairs whose alt-text is left out.
        checkpoint_every: steps; 0: at the end only.
        checkpoint_minutes: also by the clock; 0: no.
        keep_checkpoints: newest ones that stay.
        log_every: steps between lines of log.jsonl.
        max_bad_steps: steps in a row without a finite loss before it stops.
        threads: that decode; default: all cores.
        shards: folder, pattern or URL of tars instead of balanced/; given again, one more.
        shard_cache: local folder for copies of remote tars.
        shard_cache_gb: of such copies; the oldest make room.
        lanes: parts of the shards that batches take from side by side; default: one for each
            machine.
        allow_lost: go on without shards that are not there any more.

    Returns:
        The card; of a run that was asked to stop, how far it came.

    Raises:
        UsageError: an option is out of range.
        ArtifactError: the run was begun with something else.
        InputError: shards, models or captions cannot be read.
        MissingExtraError: the extra `train` is not installed.
    """
    from curate.pipelines.caption_tables import CaptionOptions
    from curate.pipelines.train import TrainExtras, check_run_name
    from curate.pipelines.train_captioner import CaptionerParts, train_captioner
    from curate.training.captioner.config import CaptionerConfig
    from curate.training.loop.config import StepOptions, TrainConfig

    place = place_of(workspace)
    folder = path_of(output) or place.run(check_run_name(name))
    if threads is not None:
        num_workers(threads)
    found = train_captioner(
        shards=shards_of(shards) or f"{place.balanced}/shards",
        output=folder,
        parts=CaptionerParts(
            image_model=None if image_model is None else model_of(image_model, place),
            image_shape=image_shape,
            image_tokenizer=image_tokenizer,
            language_model=language_model,
            init=path_of(init),
        ),
        phase=phase,
        shape=CaptionerConfig(
            prefix_tokens=prefix_tokens,
            mapper_layers=mapper_layers,
            mapper_heads=mapper_heads,
            prompt_tokens=prompt_tokens,
            text_tokens=text_tokens,
            prompt_dropout=prompt_dropout,
        ),
        config=TrainConfig(
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            warmup_steps=warmup_steps,
            weight_decay=weight_decay,
            beta2=beta2,
            max_grad_norm=max_grad_norm,
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
            accumulate=accumulate, grad_checkpointing=grad_checkpointing, compile=compile
        ),
        extras=TrainExtras(
            captions=CaptionOptions(tables=tuple(shards_of(captions))),
            threads=threads,
            shard_cache=shard_cache,
            shard_cache_gb=shard_cache_gb,
            lanes=lanes,
            allow_lost=allow_lost,
        ),
        device=device,
        overwrite=overwrite,
        dry_run=dry_run,
        quiet=quiet,
    )
    return CaptionerResult(found, folder)
