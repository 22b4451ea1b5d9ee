"""What a shared library asks of torch and of the platform.

./bazelw run //tools/abi:report -- FILE.so...
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Iterable

from absl import app

from tools.abi import elf, schemas, shim
from tools.abi.audit import Audit, audit, text_of
from tools.abi.demangle import demangle

_USERS_FOLDER = "BUILD_WORKING_DIRECTORY"  # `bazel run` starts a program elsewhere


def _listed(title: str, lines: Iterable[object]) -> list[str]:
    texts = [str(line) for line in lines]
    return [f"{title} ({len(texts)}):", *(f"  {text}" for text in texts)] if texts else []


def _minimum(result: Audit) -> str:
    if result.unstable:
        return "exactly the one that it was built with"
    if result.minimum_torch is None:
        return "none: it uses no function of torch's C shim"
    cause = [name for name, f in result.shim.items() if f.since == result.minimum_torch]
    older = " or older" if result.minimum_torch == shim.OLDEST else ""
    return f"{text_of(result.minimum_torch)}{older}, for {cause[0]} and {len(cause) - 1} more"


def lines(path: pathlib.Path) -> list[str]:
    """The report on one file, line by line.

    Raises:
      elf.ElfError: when it is no shared library.
    """
    library = elf.read(path)
    result = audit(library, shim.of_build())
    operators = schemas.find(path)
    floors = ", ".join(f"{family} {text_of(v)}" for family, v in sorted(result.floors.items()))
    text = [
        str(path),
        f"verdict:        {result.verdict}",
        f"minimum torch:  {_minimum(result)}",
        f"shim functions: {len(result.shim)}",
        f"DT_NEEDED:      {', '.join(library.needed) or 'none'}",
        f"search paths:   {', '.join(library.paths) or 'none'}",
        f"floors:         {floors or 'none'}",
    ]
    text += _listed("operators, by the schemas in the file", operators.values())
    if not operators:
        text.append("operators: no schema in the file; what it registers shows only when it runs")
    text += _listed("only in a torch with CUDA; does without", result.cuda_weak)
    text += _listed("only in a torch with CUDA; does not load without", result.cuda_strong)
    text += _listed("bound to one torch", map(demangle, result.unstable))
    text += _listed("bound to CPython", result.python)
    text += _listed("of unknown origin", result.unknown)
    return text


def main(argv: list[str]) -> None:
    if len(argv) < 2:
        raise app.UsageError("wanted at least one FILE.so")
    folder = pathlib.Path(os.environ.get(_USERS_FOLDER, "."))
    for name in argv[1:]:
        try:
            print("\n".join(lines(folder / name)))
        except (OSError, elf.ElfError) as error:
            sys.exit(f"report: {error}")


if __name__ == "__main__":
    app.run(main)
