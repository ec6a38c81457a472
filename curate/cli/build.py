"""A command of the command line out of an API function: its options, its help, one call.

Names, types, defaults and descriptions come from the function; what a terminal has besides (short
names, switches) stands here.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click

from curate.api.calls.command import Parameter, parameters_of, sentence_of

__all__ = ["Command", "command_of", "shared_options"]

_SHORT = {"t": "-t", "output": "-o", "workspace": "-w"}
_SWITCHES = {"keep_sources": "--keep-sources/--drop-sources", "turned": "--turned/--not-turned"}
_CLUSTER = "Where parts are worked on; the result is the same"


class Command(click.Command):
    """A command whose help has the options of executors under a heading of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options into the help."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = _CLUSTER if getattr(parameter, "is_cluster", False) else "Options"
                if isinstance(parameter, click.Argument):
                    heading = "Arguments"
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def command_of(
    name: str,
    function: Callable[..., Any],
    *,
    arguments: Sequence[str] = (),
    more: Sequence[click.Parameter] = (),
    callback: Callable[..., None] | None = None,
) -> click.Command:
    """Make a command of an API function.

    Args:
        name: of the command.
        function: of the API.
        arguments: which parameters are arguments, in order, with ... behind one that takes any
            number of words; all others are options.
        more: parameters that only the command line has.
        callback: what to do with the values of all parameters; None to call the function and print.
    """
    parameters = parameters_of(function)
    several = {word.removesuffix("...") for word in arguments if word.endswith("...")}
    order = [word.removesuffix("...") for word in arguments]
    is_quiet = any(p.name == "quiet" for p in parameters)
    made: list[click.Parameter] = [
        _argument(p, is_many=p.name in several) if p.name in order else _option(p)
        for p in parameters
    ]
    made.sort(key=lambda one: order.index(one.name or "") if one.name in order else len(order))
    made += [*more, *shared_options(with_quiet=not is_quiet)]

    def run(as_json: bool, debug: bool, **values: Any) -> None:
        from curate.cli.output import finish  # only here: `curate --help` is to be quick

        del debug  # looked at where errors are shown
        quiet = bool(values["quiet"] if is_quiet else values.pop("quiet"))
        finish(lambda: function(**values), as_json=as_json, quiet=quiet)

    return Command(
        name, params=made, callback=callback or run, help=_help(function), short_help=
        sentence_of(function),
    )  # fmt: skip


def shared_options(*, with_quiet: bool) -> list[click.Option]:
    """Return the options that say how a result is shown."""
    shown = [click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object.")]
    if with_quiet:
        shown.append(click.Option(["--quiet"], is_flag=True, help="Print nothing."))
    return [*shown, click.Option(["--debug"], is_flag=True, help="Show an error's traceback.")]


def _help(function: Callable[..., Any]) -> str:
    return inspect.cleandoc(function.__doc__ or "").partition("\nArgs:\n")[0].strip()


def _argument(parameter: Parameter, *, is_many: bool) -> click.Argument:
    is_required = parameter.default is inspect.Parameter.empty
    metavar = f"{parameter.name.upper()}{'...' if is_many else ''}"
    return _DescribedArgument(
        [parameter.name], nargs=-1 if is_many else 1, required=is_required, text=parameter.text,
        metavar=metavar if is_required else f"[{metavar}]",
        **({} if is_many or is_required else {"default": parameter.default}),
    )  # fmt: skip


class _DescribedArgument(click.Argument):
    """An argument that stands in the help with its description."""

    def __init__(self, names: list[str], *, text: str, **options: Any) -> None:
        super().__init__(names, **options)
        self.text = text

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return name and description."""
        return self.make_metavar(ctx), _sentence(self.text)


def _option(parameter: Parameter) -> click.Option:
    name = parameter.name
    long = f"--{name.rstrip('_').replace('_', '-')}"  # from_: a word of Python's own
    kinds = _kinds(parameter.kind)
    options: dict[str, Any] = {"help": _sentence(parameter.text)}
    names = [long, name]
    if kinds == {bool}:
        options |= {"is_flag": True, "default": parameter.default}
        if name in _SWITCHES:
            names[0] = _SWITCHES[name]
        elif parameter.default is None and name == "compile":
            names[0] = f"{long}/--no-{name}"
        elif parameter.default is None:
            options |= {"flag_value": True}
    else:
        is_several = any(get_origin(kind) is list for kind in kinds)
        options |= {
            "type": _type(kinds), "multiple": is_several,
            "default": None if is_several else parameter.default,
            "show_default": parameter.default not in (None, ""),
        }  # fmt: skip
    names[:0] = [_SHORT[name]] if name in _SHORT else []
    option = click.Option(names, **options)
    option.is_cluster = parameter.is_cluster  # type: ignore[attr-defined]
    return option


def _kinds(kind: Any) -> set[Any]:
    found = set(get_args(kind)) if get_origin(kind) in (Union, UnionType) else {kind}
    return found - {NoneType}


def _type(kinds: set[Any]) -> Any:
    literal = next((kind for kind in kinds if get_origin(kind) is Literal), None)
    if literal is not None:
        return click.Choice(get_args(literal))
    if kinds == {int}:
        return _Whole()
    return click.FLOAT if kinds == {float} else click.STRING


class _Whole(click.ParamType[int]):
    """A whole number, which may be written such as 20k or 1e3 too."""

    name = "integer"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return the number."""
        from curate.errors import UsageError
        from curate.files.sizes import parse_number

        text = str(value).strip()
        if re.fullmatch("[+-]?[0-9]+", text):
            return int(text)
        try:
            return parse_number(text, "it")
        except UsageError:
            self.fail(f"{text!r} is not a whole number, such as 5000, 20k or 1e3", param, ctx)


def _sentence(text: str) -> str:
    """Begin a description with a capital, unless it begins with a value to be typed.

    >>> _sentence("of the draws."), _sentence("no, keep_ratio."), _sentence("t is a number.")
    ('Of the draws.', 'no, keep_ratio.', 't is a number.')
    >>> _sentence("clip or siglip."), _sentence("of all.")
    ('clip or siglip.', 'Of all.')
    """
    is_word = re.match(r"[a-z]{2,}[ ;.](?!or [a-z0-9-]+([ ;,.]|$))", text) is not None
    return text[:1].upper() + text[1:] if is_word else text
