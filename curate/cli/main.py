"""The command `curate`: find the command that is meant, call it, and say how it went.

Commands are made when they are asked for, so that `curate --help` loads nothing but this.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import click

from curate.api.calls.command import sentence_of
from curate.cli.build import command_of
from curate.distribution import COMMAND, VERSION, conflict, is_ours, is_whole
from curate.errors import CurateError
from curate.pipelines.executor.stopping import interrupt_on_sigterm, stop_on_sigterm

__all__ = ["COMMANDS", "app", "main"]

# Command: where its API function is, and which of its parameters are arguments; one with ... behind
# it takes any number of words.
COMMANDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "build-metadata": ("metadata", "build_metadata", ()),
    "extract": ("crawl", "extract", ("inputs...",)),
    "match": ("matching", "match", ("inputs...",)),
    "balance": ("balancing", "balance", ()),
    "card": ("balancing", "card", ()),
    "yield": ("balancing", "yield_grid", ()),
    "retract": ("stored", "retract", ("listing",)),
    "download": ("images", "download", ()),
    "embed": ("vectors", "embed", ("run",)),
    "dedup": ("duplicates", "dedup", ()),
    "score": ("vectors", "score", ("run",)),
    "cluster": ("vectors", "cluster", ()),
    "decontaminate": ("duplicates", "decontaminate", ("data...",)),
    "sample": ("vectors", "sample", ()),
    "status": ("stored", "status", ()),
    "explain": ("stored", "explain", ("text",)),
    "browse": ("looking", "browse", ("path",)),
    "push": ("publishing", "push", ("repository",)),
    "diff": ("stored", "diff", ("a", "b")),
    "caption": ("captions", "caption", ("captioner",)),
    "train-captioner": ("captions", "train_captioner", ()),
    "judge-captions": ("judge", "judge_captions", ()),
    "train": ("models", "train", ()),
    "eval": ("models", "evaluate", ("data...",)),
    "export": ("published", "export", ("run",)),
    "models": ("published", "models", ("names...",)),
    "warm-up": ("machine", "warm_up", ()),
}

_LIGHT = ("build-metadata", "extract", "match", "balance", "card", "yield", "explain")

_BEFORE = ("--help", "--version")  # the options that stand before a command


class _Group(click.Group):
    """All commands, each made when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name == "status":
            from curate.cli.status import status_command

            return status_command()
        if cmd_name == "browse":
            from curate.cli.browse import browse_command

            return browse_command()
        if cmd_name not in COMMANDS:
            return None
        return command_of(cmd_name, _function(cmd_name), arguments=COMMANDS[cmd_name][2])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before the command, which no option of a command may."""
        first = args[0] if args else ""
        if first.startswith("-") and first not in _BEFORE:
            from difflib import get_close_matches  # only here: `curate --help` is to be quick

            for meant in get_close_matches(first, _BEFORE, n=1, cutoff=0.7):
                words = f"No such option {first!r}. Did you mean {meant!r}?"
                raise click.UsageError(words, ctx)
            behind = next((word for word in args if word in COMMANDS), "COMMAND")
            raise click.UsageError(
                f"Options go behind the command: curate {behind} … {first} …", ctx
            )
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant; of an unknown one, say what it may be."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches  # only here: `curate --help` is to be quick

            for meant in get_close_matches(args[0], COMMANDS, n=1):
                words = f"No such command {args[0]!r}. Did you mean {meant!r}?"
                raise click.UsageError(words, ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, with its messages on stderr."""
        from curate.files.remedies import on_command_line
        from curate.pipelines.views.progress import shown_on_terminal

        with on_command_line(), shown_on_terminal():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first sentence of each command uncut."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence_of(_function(name))) for name in COMMANDS])


def _function(name: str) -> Any:
    module, function, _ = COMMANDS[name]
    return getattr(import_module(f"curate.api.{module}"), function)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"{COMMAND} {VERSION}")
        if warning := conflict():
            click.echo(f"Warning: {warning}", err=True)
        ctx.exit()


app = _Group(
    "curate",
    help="Metadata, matching, balancing and training for CLIP data in 300 languages.",
    params=[
        click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False,
                     callback=_print_version, help="Print the version."),
    ],
    no_args_is_help=True,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors of ours become a line on stderr and an exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    is_training = words[:1] in (["train"], ["train-captioner"])
    if arguments is None and words[:1] and words[0] in _LIGHT:
        if not {"--filter", "--executor"} & {word.partition("=")[0] for word in words}:
            _start_light()
    with interrupt_on_sigterm() as sigterm:
        try:
            with stop_on_sigterm() if is_training else nullcontext():
                code = _run(words)
            sys.exit(code if isinstance(code, int) else 0)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            word, code = ("Terminated", 143) if sigterm.is_made else ("Interrupted", 130)
            sys.stderr.write(f"{word}. What is done is kept; run the same command to go on.\n")
            sys.exit(code)
        except CurateError as error:
            if "--debug" in words:
                raise
            from curate.pipelines.views.terminal import inert_lines

            sys.stderr.write("Error: " + inert_lines(str(error)) + "\n")
            sys.exit(error.exit_code)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)


def _run(words: list[str]) -> Any:
    """Run a command, unless files of another package stand among ours.

    Raises:
        CurateError: they do.
    """
    if not is_whole():
        raise CurateError(conflict() or "")
    try:
        return app(words, prog_name=COMMAND, standalone_mode=False)
    except ImportError as error:
        why = conflict() if is_ours(error) else None
        if why is None:
            raise
        raise CurateError(f"{error}. {why}") from error


def _start_light() -> None:
    """Spare pyarrow loading pandas, and numpy starting threads for products of matrices.

    pyarrow loads pandas for its first array, if that is installed, to recognize its objects, of
    which a command has none; a user's filter, or what runs a cluster, may have. OpenBLAS' threads,
    one for each core, wait a while for work that never comes (0.03 s of two).
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _NoPandas())


class _NoPandas:
    """Says that there is no pandas."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Refuse pandas.

        Raises:
            ModuleNotFoundError: it is asked for.
        """
        del path, target
        if name == "pandas":
            raise ModuleNotFoundError("commands do without pandas", name=name)


if __name__ == "__main__":
    main()
