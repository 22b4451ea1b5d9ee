"""The table of docs/abi.md, made of what the cells left."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Iterable, Iterator

from tests.abi.matrix.cell import RESULT, Cell
from tests.abi.matrix.steps import STEPS, Outcome

BEGIN = "<!-- matrix: `./bazelw run //tests/abi/matrix:write` replaces what follows -->"
END = "<!-- end of the matrix -->"


class MatrixError(Exception):
    """The results do not make a table; says why."""


def read_results(logs: pathlib.Path) -> Iterator[Cell]:
    """The cells below Bazel's folder of test logs, in the order of releases and Pythons."""
    cells = []
    for folder in logs.glob("torch-*/test.outputs"):
        archive = folder / "outputs.zip"
        if archive.is_file():
            with zipfile.ZipFile(archive) as outputs:
                cells.append(Cell.from_json(outputs.read(RESULT).decode()))
        elif (folder / RESULT).is_file():
            cells.append(Cell.from_json((folder / RESULT).read_text()))
    return iter(sorted(cells, key=lambda cell: (_numbers(cell.release), _numbers(cell.python))))


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def render(cells: Iterable[Cell]) -> str:
    """The table, and below it what was run and what failed.

    Raises:
        MatrixError: there is no result, or results are of different files.
    """
    cells = list(cells)
    if not cells:
        raise MatrixError("no result: run ./bazelw test --config=torch_matrix //tests/abi/...")
    libraries = {cell.library for cell in cells}
    if len(libraries) > 1:
        raise MatrixError(
            f"results of {len(libraries)} different libraries: run the whole matrix again "
            "with one, or remove the older results"
        )
    lines = [
        f"| torch | CPython | cases | {' | '.join(STEPS)} |",
        f"| --- | --- | --- |{' --- |' * len(STEPS)}",
        *(_row(cell) for cell in cells),
        "",
        *_what_was_run(cells),
        "",
        *_failures(cells),
    ]
    return "\n".join(lines) + "\n"


def _row(cell: Cell) -> str:
    torch = cell.found.get("torch", cell.release)
    if cuda := cell.found.get("cuda"):
        torch = f"{torch}, CUDA {cuda}"
    cases = "all" if cell.every == 1 else f"1 in {cell.every}"
    words = [_words(cell.outcomes.get(step)) for step in STEPS]
    return f"| {torch} | {cell.found.get('python', cell.python)} | {cases} | {' | '.join(words)} |"


def _words(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not run"
    skipped = f", {outcome.skipped} skipped" if outcome.skipped else ""
    if outcome.failures:
        return f"**{len(outcome.failures)} failed**, {outcome.passed} passed{skipped}"
    return f"{outcome.passed} passed{skipped}" if outcome.passed else f"**nothing ran**{skipped}"


def _what_was_run(cells: list[Cell]) -> Iterator[str]:
    days = sorted({cell.day for cell in cells})
    yield f"One file in all rows, sha256 `{cells[0].library}`, run on {', '.join(days)}"
    yield "on machines without a GPU. `all` is every CPU test case; `1 in N` is one in N of each"
    yield "test file, but every one on errors and an opcheck of every operator."


def _failures(cells: list[Cell]) -> Iterator[str]:
    failures = [
        f"* {cell.release}, CPython {cell.python}, {step}: `{failure.replace('`', chr(39))}`"
        for cell in cells
        for step, outcome in cell.outcomes.items()
        for failure in outcome.failures
    ]
    yield "What failed:" if failures else "Nothing failed."
    yield from failures


def replace(document: str, table: str) -> str:
    """The document with the table between its marks.

    Raises:
        MatrixError: the document has not the two marks in order.
    """
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise MatrixError(f"the document has no {BEGIN!r} before {END!r}")
    return f"{head}{BEGIN}\n\n{table}\n{END}{tail}"
