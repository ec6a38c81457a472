"""Make the machine code of kernels that this package ships: `make kernels`.

Every kernel is called as `curate warm-up` does, in a process in which numba optimises for the kind
of processor, and what LLVM made is put into one library that needs no numba: memory comes from
`malloc`, and arguments are passed as `curate.compiled.shipped` says. Linkers are needed here and
nowhere else: `ld` on x86-64, and for aarch64 that of Debian's binutils-aarch64-linux-gnu. Which
modules the code depends on is found by reading imports.
"""

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
COMPILED = ROOT / "curate/compiled"


class Kind(NamedTuple):
    """A kind of processors, as `curate.compiled.shipped` has them.

    Attributes:
        cpu: as LLVM names it.
        triple: machine, vendor and system, as LLVM names them.
        linker: the program that links for it.
        only: an exercise, and the one of its kernels that the library has; None for all kernels.
    """

    cpu: str
    triple: str
    linker: str = "ld"
    only: tuple[str, str] | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether its code cannot be run where it is made."""
        return not self.triple.startswith("x86_64")


# SHA-224 of sixteen strings at once takes 0.17 µs a string with the rotations of AVX-512 and 0.32
# without; all other kernels gain nothing by them, or lose.
_SHA224 = ("hashes", "curate.curation.hashing.sha224_kernels.hash_messages")
KINDS = {
    "x86_64_v3": Kind("x86-64-v3", "x86_64-unknown-linux-gnu"),
    "x86_64_v4": Kind("x86-64-v4", "x86_64-unknown-linux-gnu", only=_SHA224),
    "aarch64": Kind("generic", "aarch64-unknown-linux-gnu", "aarch64-linux-gnu-ld"),
}

_OWN = {"malloc", "free", "memset", "memcpy", "memmove", "exp", "expf", "log", "logf", "sqrt"}


def sources() -> list[str]:
    """Return the modules with kernels and those that these import, relative to `curate/`."""
    found = {f"compiled/{name}.py" for name in ("kernel", "on_site", "shipped")}
    for folder in ("curation", "metadata", "training", "pipelines"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            if re.search("^@(compiled|inlined|intrinsic)$", text, re.M):
                found.add(path.relative_to(ROOT).as_posix())
                found |= set(_imported(text))
    return sorted(found - {"errors.py"})


def _imported(text: str) -> list[str]:
    modules = [
        node.module.removeprefix("curate.").replace(".", "/")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("curate.")
    ]
    return [f"{name}.py" for name in modules if (ROOT / "curate" / f"{name}.py").is_file()]


def make(name: str, folder: str) -> None:
    """Make the library of a kind of processor, and its list; this process makes no other."""
    from llvmlite import binding as llvm

    kind = KINDS[name]
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(kind.triple).create_target_machine(
        cpu=kind.cpu, opt=3, reloc="pic", codemodel="default"
    )
    layout = str(machine.target_data)

    def parsed(text: str) -> Any:
        module = llvm.parse_assembly(text)
        module.triple, module.data_layout = kind.triple, layout
        return module

    whole = parsed((ROOT / "tests/kernels_runtime.ll").read_text("ascii"))
    kernels: dict[str, list[dict[str, Any]]] = {}
    wrappers: list[str] = []
    if kind.is_foreign:
        _optimise_for(machine)
    for called, arguments, found in _called(kind.only):
        library = found._asdict()["library"]
        of_all = library._final_module.before_code if kind.is_foreign else library.get_llvm_str()
        module = parsed(of_all)
        native = module.get_function(found.fndesc.llvm_func_name)
        symbol = f"{called.removeprefix('curate.').replace('.', '_')}_{len(wrappers)}"
        wrappers.append(_wrapper(symbol, native))
        returns = _returns(found.signature.return_type)
        one = {"symbol": symbol, "arguments": list(arguments), "returns": returns}
        kernels.setdefault(called, []).append(one)
        whole.link_in(module)
    for text in wrappers:
        whole.link_in(parsed(text))
    exported = {"curate_release", *(one["symbol"] for ones in kernels.values() for one in ones)}
    _hide(whole, exported)
    # What numba optimised function by function, once more as a whole: only here it is known that
    # nobody else calls them.
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(3))
    builder.getModulePassManager().run(whole, builder)
    missing = {
        f.name for f in whole.functions if f.is_declaration and not f.name.startswith("llvm.")
    } - _OWN
    if missing:
        raise SystemExit(f"kernels need what is not there: {', '.join(sorted(missing))}")
    file = Path(folder, f"{name}.so")
    with tempfile.TemporaryDirectory() as temporary:
        object_file = Path(temporary) / "kernels.o"
        object_file.write_bytes(machine.emit_object(whole))
        subprocess.run(
            [kind.linker, "-shared", "-s", "-z", "noexecstack", "--build-id=none", "-soname",
             file.name, "-o", str(file), str(object_file)],
            check=True,
        )  # fmt: skip
    import llvmlite
    import numba

    from curate.compiled.shipped import source_digest

    listing = {
        "sources": source_digest(),
        "sha256": sha256(file.read_bytes()).hexdigest(),
        "made_with": {"numba": numba.__version__, "llvmlite": llvmlite.__version__},
        "kernels": kernels,
    }
    text = json.dumps(listing, indent=1, sort_keys=True)
    file.with_suffix(".json").write_text(f"{text}\n", "ascii")
    print(f"{file.name}: {len(wrappers)} kernels, {file.stat().st_size:,} bytes")  # noqa: T201


def _optimise_for(machine: Any) -> None:
    """Have numba optimise for another machine than the one that it then makes code for.

    What LLVM has optimised is still no machine code, so that it can be compiled and run here. It is
    written down before that, for LLVM changes a module for the processor that it makes code for.

    Raises:
        SystemExit: numba has its machine elsewhere in this version.
    """
    from numba.core.registry import cpu_target

    generator: Any = cpu_target.target_context.codegen()
    if "_tm" not in vars(generator):
        raise SystemExit("this version of numba optimises for a machine that cannot be named")
    generator._tm, add = machine, generator._add_module

    def noted_before(module: Any) -> Any:
        module.before_code = str(module)
        return add(module)

    generator._add_module = noted_before


def _called(only: tuple[str, str] | None) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Call kernels; yield names, kinds of their arguments, and what numba compiled for them."""
    from curate.compiled import kernel

    called: dict[str, set[tuple[str, ...]]] = {}
    usual = kernel.Kernel.__call__

    def noted(self: Any, *args: Any) -> Any:
        called.setdefault(self.name, set()).add(tuple(map(kernel.kind_of, args)))
        return usual(self, *args)

    kernel.shipped_routines = lambda _name: {}
    kernel.Kernel.__call__ = noted  # type: ignore[method-assign]
    exercises = import_module("curate.pipelines.warm_up.exercise").EXERCISES
    for name in [only[0]] if only else exercises:
        exercises[name]()
    for name in [only[1]] if only else sorted(called):
        for arguments in sorted(called[name]):
            yield name, arguments, _overload(kernel.KERNELS[name].made, arguments)


def _overload(dispatcher: Any, arguments: tuple[str, ...]) -> Any:
    """Return what was compiled for arguments of some kinds; no matter whether for reading only."""
    for types, found in dispatcher.overloads.items():
        if tuple(map(_kind_of_type, types)) == arguments:
            return found
    raise SystemExit(f"{dispatcher} was not compiled for {arguments}")


def _kind_of_type(kind: Any) -> str:
    from numba import types
    from numba.np.numpy_support import as_dtype

    if isinstance(kind, types.Array):
        is_plain = kind.layout == "C" and kind.aligned
        return f"{as_dtype(kind.dtype).str[1:]}[{kind.ndim}]" if is_plain else "other"
    return str(as_dtype(kind).str[1:])


def _returns(kind: Any) -> list[str]:
    from numba import types

    if kind == types.none:
        return []
    found = [_kind_of_type(one) for one in (kind if isinstance(kind, types.BaseTuple) else [kind])]
    if len(found) > 1 and not all("[" in one or one.endswith("8") for one in found):
        raise SystemExit(f"a kernel returns {kind}; expected words of eight bytes and arrays")
    return found


def _wrapper(symbol: str, native: Any) -> str:
    """Return a function that takes the arguments of another from memory."""
    kinds = [str(argument.type) for argument in native.arguments]
    lines = ["%error = alloca ptr", "store ptr null, ptr %error"]
    values = ["ptr %returned", "ptr %error"]
    for i, kind in enumerate(kinds[2:]):
        lines += [f"%at{i} = getelementptr i64, ptr %given, i64 {i}",
                  f"%word{i} = load i64, ptr %at{i}"]  # fmt: skip
        source = f"%word{i}"
        if kind == "ptr":
            lines.append(f"%value{i} = inttoptr i64 {source} to ptr")
        elif kind == "double":
            lines.append(f"%value{i} = bitcast i64 {source} to double")
        elif kind == "float":
            lines += [f"%low{i} = trunc i64 {source} to i32",
                      f"%value{i} = bitcast i32 %low{i} to float"]  # fmt: skip
        elif kind != "i64":
            lines.append(f"%value{i} = trunc i64 {source} to {kind}")
        values.append(f"{kind} {source if kind == 'i64' else f'%value{i}'}")
    lines += [f'%status = call i32 @"{native.name}"({", ".join(values)})', "ret i32 %status"]
    body = "\n  ".join(lines)
    return (
        f'declare i32 @"{native.name}"({", ".join(kinds)})\n'
        f"define i32 @{symbol}(ptr %returned, ptr %given) {{\n  {body}\n}}\n"
    )


def _hide(module: Any, exported: set[str]) -> None:
    from llvmlite import binding as llvm

    for value in [*module.functions, *module.global_variables]:
        if not value.is_declaration and value.name not in exported:
            value.linkage = llvm.Linkage.internal


def main() -> None:
    """Make them all, each kind in a process of its own.

    Raises:
        SystemExit: a linker is missing.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=KINDS, action="append", help="default: all of them")
    parser.add_argument("--folder", type=Path, default=COMPILED / "machine_code")
    options = parser.parse_args()
    kinds = options.kind or list(KINDS)
    missing = {linker for kind in kinds if not shutil.which(linker := KINDS[kind].linker)}
    if missing:
        raise SystemExit(
            f"{' and '.join(sorted(missing))} must be there to link; on Debian: "
            "apt-get install binutils binutils-aarch64-linux-gnu"
        )
    options.folder.mkdir(exist_ok=True)
    (COMPILED / "sources.txt").write_text("".join(f"{name}\n" for name in sources()), "ascii")
    for kind in kinds:
        cpu = KINDS["x86_64_v3" if KINDS[kind].is_foreign else kind].cpu
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": "",
                           "NUMBA_CACHE_DIR": cache}  # fmt: skip
            folder = str(options.folder.resolve())
            code = f"from tests.make_kernels import make; make({kind!r}, {folder!r})"
            subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)


if __name__ == "__main__":
    main()
