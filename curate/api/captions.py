"""`caption`: images in, captions by pair id out."""

from typing import Unpack

from curate.api.command import command
from curate.api.options import ClusterOptions, Folder, num_workers, path_of, place_of, running
from curate.api.results import CaptionResult

__all__ = ["caption"]


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
    """Write captions of the images in shards, with their alt-texts in view.

    The key of a server is read from CURATE_ENDPOINT_KEY.

    Example: curate caption Qwen/Qwen3-VL-4B --endpoint http://localhost:8000/v1

    Args:
        captioner: image-text-to-text model of the Hub or in a folder; with endpoint, the server's
            name for it.
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
