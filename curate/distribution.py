"""What this package is called where it is installed, its version, and who else has its name.

The distribution is not named as the module: on PyPI the module's name belongs to somebody else.
"""

from collections.abc import Iterator

__all__ = [
    "COMMAND",
    "DISTRIBUTION",
    "MODULE",
    "USER_AGENT",
    "VERSION",
    "conflict",
    "install_line",
    "is_ours",
    "is_whole",
]

DISTRIBUTION = "curate-clip"
VERSION = "0.2.0.dev0"
MODULE = "curate"
COMMAND = "curate"
USER_AGENT = f"Mozilla/5.0 (compatible; {MODULE}/{VERSION})"  # of downloads, unless told otherwise


def install_line(extra: str | None = None, *, options: str = "") -> str:
    """Return what to type to install this package, with an extra and options of pip.

    >>> install_line("train")
    "pip install 'curate-clip[train]'"
    >>> install_line(options="-U")
    'pip install -U curate-clip'
    """
    what = f"'{DISTRIBUTION}[{extra}]'" if extra else DISTRIBUTION
    return " ".join(["pip install", *options.split(), what])


def conflict() -> str | None:
    """Return a sentence on who else installed our module or command here, or None.

    Reads what is installed, a tenth of a second: for where something is wrong already.
    """
    others = dict(_others())
    again = install_line(options="--force-reinstall --no-deps")
    if others:
        uninstall = f"pip uninstall {' '.join(others)}"
        return (
            f"{' and '.join(others.values())} also installs a module or command named {MODULE}, "
            f"and hides or overwrites that of {DISTRIBUTION}. Type: {uninstall}; {again}"
        )
    if not is_whole():
        return (
            f"The module {MODULE} is not the one that {DISTRIBUTION} installs: another package of "
            f"this name was installed over it, or removed with parts of it. Type: {again}"
        )
    return None


def is_whole() -> bool:
    """Tell whether the module above this one is ours; costs nothing."""
    import curate

    return getattr(curate, "__distribution__", None) == DISTRIBUTION


def is_ours(error: ImportError) -> bool:
    """Tell whether what could not be imported is a module of ours, no matter what for."""
    return (error.name or "").partition(".")[0] == MODULE


def _others() -> Iterator[tuple[str, str]]:
    """Yield the names of other distributions with a module or command of our name, described."""
    from importlib.metadata import distributions

    for found in distributions():
        # What is left of an installation that was cut short may have neither.
        if (found.read_text("METADATA") or found.read_text("PKG-INFO")) is None:
            continue
        name = found.metadata["Name"] or ""
        if name.lower().replace("_", "-") == DISTRIBUTION:
            continue
        modules = (found.read_text("top_level.txt") or "").split() or [
            path.parts[0].removesuffix(".py") for path in found.files or () if path.parts
        ]
        commands = found.entry_points.select(group="console_scripts", name=COMMAND)
        if MODULE in modules or commands:
            yield name, f"{name} {found.version} in {found.locate_file('')}"
