"""Names that a package exports, each loaded from its module when it is first used.

So that a door costs nothing until somebody goes through it: `import curate` loads no Arrow, and
counting no compiler.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, modules: Mapping[str, Sequence[str]], subpackages: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its full name.
        modules: of the package, and the names that each of them gives.
        subpackages: of the package, which are names as well.

    >>> get, names = lazy_names("curate.files", {"sizes": ["parse_number"]})
    >>> get("parse_number")("20k", "--t"), names()
    (20000, ['parse_number'])
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def load(name: str) -> Any:
        if name in subpackages:
            return import_module(f"{package}.{name}")
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module_of[name]}"), name)

    def names() -> list[str]:
        return sorted([*module_of, *subpackages])

    return load, names
