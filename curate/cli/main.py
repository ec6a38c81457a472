"""The command line: parse, one call, print. Heavy imports wait until a command needs them."""

import os
import sys
from typing import Annotated, Literal

import typer

from curate.cli.card import card
from curate.cli.cluster import on_cluster
from curate.cli.diff import diff
from curate.cli.download import download
from curate.cli.explain import explain
from curate.cli.extract import extract
from curate.cli.group import common, list_whole_sentences
from curate.cli.matches import measure, retract
from curate.cli.metadata import build_metadata
from curate.cli.options import (
    NUM_CORES,
    Debug,
    DryRun,
    FilterOption,
    Json,
    LidModel,
    MatchedFolder,
    MetadataFolder,
    Output,
    Overwrite,
    Quiet,
    Root,
    Workers,
    finish,
    number_option,
    wants_traceback,
)
from curate.cli.shards import (
    ImageSize,
    OnlyIfBigger,
    PairsPerShard,
    Quality,
    ResizeMode,
    ShardSize,
    ShuffleShards,
    shard_options,
)
from curate.cli.status import status
from curate.cli.train import train
from curate.errors import CurateError
from curate.pipelines.executor.stopping import interrupt_on_sigterm
from curate.pipelines.store.workspace import Workspace
from curate.pipelines.views.terminal import inert

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.callback()(common)


app.command()(on_cluster(build_metadata))
app.command()(on_cluster(extract))


@app.command()
@on_cluster
def match(
    inputs: Annotated[list[str], typer.Argument(help="Parquet, tar, jsonl, csv, tsv; patterns.")],
    lang: Annotated[str | None, typer.Option(help="Take every text as this language.")] = None,
    normalization: Annotated[str, typer.Option(help="standard or metaclip.")] = "standard",
    lid_model: LidModel = None,
    url_column: Annotated[str | None, typer.Option(help="Name of the URL column.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Name of the alt-text column.")] = None,
    uid_column: Annotated[str | None, typer.Option(help="Name of the id column.")] = None,
    lang_column: Annotated[str | None, typer.Option(help="Name of the language column.")] = None,
    max_bad: Annotated[float, typer.Option(help="Share of bad records that is allowed.")] = 0.01,
    engine: Annotated[
        str, typer.Option(help="index, or pyahocorasick: the reference; the result is the same.")
    ] = "index",
    lid_engine: Annotated[
        str, typer.Option(help="compiled, or fasttext: the library; the labels are the same.")
    ] = "compiled",
    filters: FilterOption = None,
    rows_per_part: Annotated[
        int | None, typer.Option(help="Of a task; an eighth of a file, 125,000 to 500,000.")
    ] = None,
    metadata: MetadataFolder = None,
    workspace: Root = "data",
    output: Output = None,
    workers: Workers = NUM_CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Match alt-texts against the entries of their language, and count.

    Example: curate match 'dumps/*.parquet'
    """
    from curate.pipelines.inputs.records import ColumnNames
    from curate.pipelines.match.stage import MatchOptions, match_inputs
    from curate.pipelines.match.view import match_table

    place = Workspace(workspace)
    columns = ColumnNames(url=url_column, text=text_column, uid=uid_column, lang=lang_column)
    finish(
        lambda: match_inputs(
            inputs,
            metadata=metadata or place.metadata,
            output=output or place.matched,
            options=MatchOptions(
                normalization=normalization,
                lang=lang,
                lid_model=lid_model,
                columns=columns,
                max_bad=max_bad,
                engine=engine,
                lid_engine=lid_engine,
                filters=tuple(filters or ()),
                rows_per_part=rows_per_part,
            ),
            workers=workers,
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        ),
        lambda result: match_table(result, output or place.matched),
        as_json=as_json,
        quiet=quiet,
        debug=debug,
    )


@app.command()
@on_cluster
def balance(
    t: Annotated[
        int | None, number_option("--t", "-t", text="Pairs per entry, about, such as 20k.")
    ] = None,
    target_pairs: Annotated[
        int | None, number_option("--target-pairs", text="Pairs to keep, such as 5m, instead of t.")
    ] = None,
    reference_lang: Annotated[
        str | None, typer.Option(help="t is this language's; others get its tail share.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    output_format: Annotated[
        str, typer.Option("--format", help="parquet, shards, auto: shards if there are images.")
    ] = "auto",
    pairs_per_shard: PairsPerShard = 10_000,
    shard_size: ShardSize = None,
    shuffle_shards: ShuffleShards = 4,
    resize: ResizeMode = "no",
    image_size: ImageSize = 256,
    quality: Quality = 95,
    resize_only_if_bigger: OnlyIfBigger = False,
    uids: Annotated[
        str | None, typer.Option(help="Also write the kept ids to this .npy, for DataComp.")
    ] = None,
    filters: FilterOption = None,
    matched: MatchedFolder = None,
    workspace: Root = "data",
    output: Output = None,
    workers: Workers = NUM_CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Sample the matched pairs so that no entry gets more than about t.

    Example: curate balance --t 20000
    """
    from curate.pipelines.balance.stage import BalanceOptions, balance_pairs
    from curate.pipelines.balance.view import balance_table

    place = Workspace(workspace)
    finish(
        lambda: balance_pairs(
            matched=matched or place.matched,
            output=output or place.balanced,
            options=BalanceOptions(
                t=t,
                target_pairs=target_pairs,
                reference_lang=reference_lang,
                seed=seed,
                output_format=output_format,
                filters=tuple(filters or ()),
                pairs_per_shard=pairs_per_shard,
                shards=shard_options(
                    shard_size, shuffle_shards, resize, image_size, quality, resize_only_if_bigger
                ),
            ),
            uids=uids,
            workers=workers,
            overwrite=overwrite,
            dry_run=dry_run,
            quiet=quiet,
        ),
        lambda result: balance_table(result, output or place.balanced),
        as_json=as_json,
        quiet=quiet,
        debug=debug,
    )


app.command()(card)
app.command("yield")(on_cluster(measure))
app.command()(retract)
app.command()(download)
app.command()(status)
app.command()(explain)
app.command()(diff)
app.command()(train)


@app.command("eval")
def evaluate(
    data: Annotated[
        list[str] | None,
        typer.Argument(help="Folder of classes, WebDataset, Parquet, Crossmodal-3600, CVQA."),
    ] = None,
    name: Annotated[str, typer.Option(help="Of the run.")] = "clip",
    config: Annotated[str | None, typer.Option(help="eval.json that names more sets.")] = None,
    layout: Annotated[
        str,
        typer.Option("--format", help="folder, wds, parquet, xm3600, cvqa; auto: by the files."),
    ] = "auto",
    classes: Annotated[
        str | None,
        typer.Option(help="File, a class per line, its names separated by tabs; {lang} in it."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Babel-ImageNet's JSON, instead of --classes.")
    ] = None,
    templates: Annotated[
        str | None, typer.Option(help="File, a prompt per line, such as: a photo of {}.")
    ] = None,
    languages: Annotated[
        str, typer.Option(help="Codes, comma-separated; all there are if empty.")
    ] = "",
    group_by: Annotated[str | None, typer.Option(help="Column to give figures by.")] = None,
    texts: Annotated[str, typer.Option(help="CVQA: local or english.")] = "local",
    prompt: Annotated[str, typer.Option(help="CVQA: of an answer.")] = "{question} {option}",
    batch_size: Annotated[int, typer.Option(help="Images at once.")] = 256,
    run: Annotated[str | None, typer.Option(help="Folder of the run.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda; a GPU if there is one.")] = None,
    workspace: Root = "data",
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode.")] = NUM_CORES,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Evaluate a model: zero-shot classes, retrieval of captions, multiple-choice questions.

    Example: curate eval imagenet/val --classes classes.txt --templates templates.txt
    """
    from curate.pipelines.evaluate.stage import evaluate_model, is_first_process
    from curate.pipelines.evaluate.view import eval_table
    from curate.pipelines.train.stage import check_run_name

    folder = run or Workspace(workspace).run(check_run_name(name))
    is_shown = is_first_process()
    finish(
        lambda: evaluate_model(
            data or [],
            run=folder,
            config=config,
            device=device,
            batch_size=batch_size,
            workers=workers,
            format=layout,
            classes=classes,
            labels=labels,
            templates=templates,
            languages=tuple(code for code in languages.split(",") if code),
            group_by=group_by,
            texts=texts,
            prompt=prompt,
        ),
        eval_table,
        as_json=as_json and is_shown,
        quiet=quiet or not is_shown,
        debug=debug,
    )


@app.command("export")
def export_run(
    run: Annotated[str, typer.Argument(help="Name of a run, a folder, or a file of weights.")],
    export_format: Annotated[
        Literal["safetensors", "open_clip", "huggingface"],
        typer.Option("--format", help="Of training.load, OpenCLIP or transformers."),
    ] = "safetensors",
    model: Annotated[str | None, typer.Option(help="Of a file: name or JSON file.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Of a file: file or Hub name.")] = None,
    workspace: Root = "data",
    output: Output = None,
    as_json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Write a trained model for training.load, OpenCLIP or Hugging Face's transformers.

    Example: curate export clip --format huggingface -o clip-hf
    """
    from curate.pipelines.export import export_model, export_table, find_run

    finish(
        lambda: export_model(find_run(run, workspace), output=output, export_format=export_format,
                model=model, tokenizer=tokenizer, overwrite=overwrite, dry_run=dry_run),
        export_table, as_json=as_json, quiet=quiet, debug=debug,
    )  # fmt: skip


list_whole_sentences(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors of ours become a line on stderr and an exit code."""
    with interrupt_on_sigterm() as sigterm:
        try:
            app(arguments, standalone_mode=True)
        except CurateError as error:
            if wants_traceback():
                raise
            sys.stderr.write("Error: " + inert(str(error), allowed="\n") + "\n")
            sys.exit(error.exit_code)
        except SystemExit as ending:
            if ending.code != 130:  # what Typer makes of an interrupt
                raise
            word, code = ("Terminated", 143) if sigterm.is_made else ("Interrupted", 130)
            sys.stderr.write(f"{word}. What is done is kept; run the same command to go on.\n")
            sys.exit(code)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)


if __name__ == "__main__":
    main()
