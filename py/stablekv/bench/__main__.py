"""python -m stablekv.bench: times the operators against the memory's limit and against peers."""

from __future__ import annotations

import os
import pathlib
import re
import sys

import torch

try:
    from absl import app, flags
except ImportError:
    sys.exit(
        "python -m stablekv.bench needs absl-py, which the wheel's extra `bench` brings: "
        "pip install absl-py"
    )

from stablekv.bench import plot, results, run
from stablekv.bench.work import WrongAnswer

_DEVICE = flags.DEFINE_enum(
    "device", None, ["cpu", "cuda"], "where; cuda where there is one, by default"
)
_CASES = flags.DEFINE_string("cases", "", "only cases whose name this regular expression finds")
_LIST = flags.DEFINE_bool("list", False, "print the names of those cases, and measure none")
_PEERS = flags.DEFINE_bool("peers", True, "time others as well, where they are installed")
_SECONDS = flags.DEFINE_float("seconds", 0.3, "to spend on each timing", lower_bound=0.01)
_JSON = flags.DEFINE_string("json", None, "file to write the figures to")
_MARKDOWN = flags.DEFINE_string("markdown", None, "file to write the table to")
_PLOT = flags.DEFINE_string(
    "plot", None, f"picture to write, {' or '.join(plot.SUFFIXES)}; needs matplotlib"
)

_WIDTHS = (46, 18, 9, 15, 9, 8, 7, 9, 10)


def _print_row(cells: list[str] | tuple[str, ...]) -> None:
    left = [cell.ljust(width) for cell, width in zip(cells[:2], _WIDTHS[:2], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(cells[2:], _WIDTHS[2:], strict=True)]
    print(*left, *right, flush=True)


def _check_flags() -> None:
    """What would fail only when all is measured, or without a word of which flag it was."""
    if _DEVICE.value == "cuda" and not torch.cuda.is_available():
        raise app.UsageError(f"--device=cuda: torch {torch.__version__} sees no CUDA device")
    try:
        re.compile(_CASES.value)
    except re.error as error:
        raise app.UsageError(f"--cases={_CASES.value}: no regular expression: {error}") from None
    for flag in (_JSON, _MARKDOWN, _PLOT):
        if flag.value and pathlib.Path(flag.value).is_dir():
            raise app.UsageError(f"--{flag.name}={flag.value}: it is a folder")
        if flag.value and not os.access(pathlib.Path(flag.value).absolute().parent, os.W_OK):
            raise app.UsageError(f"--{flag.name}={flag.value}: its folder cannot be written to")
    if _PLOT.value and not _PLOT.value.endswith(plot.SUFFIXES):
        raise app.UsageError(f"--plot={_PLOT.value}: it must end in {' or '.join(plot.SUFFIXES)}")
    if _PLOT.value and not plot.is_possible():
        raise app.UsageError("--plot needs matplotlib: pip install matplotlib")


def _write(found: results.Run) -> None:
    if _JSON.value:
        pathlib.Path(_JSON.value).write_text(found.to_json())
    if _MARKDOWN.value:
        pathlib.Path(_MARKDOWN.value).write_text(found.to_markdown())
    if _PLOT.value and any(plot.shows(row.case) for row in found.rows):
        plot.write_plot(found, pathlib.Path(_PLOT.value))
    elif _PLOT.value:
        print("no case that the plot shows was measured: there is none")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(argv[1:])}")
    _check_flags()
    device = torch.device(_DEVICE.value or ("cuda" if torch.cuda.is_available() else "cpu"))
    names = run.names(device, _CASES.value)
    if not names:
        sys.exit(f"--cases={_CASES.value} finds no case; --list prints them")
    if _LIST.value:
        print("\n".join(names))
        return
    if _PLOT.value and not any(map(plot.shows, names)):
        raise app.UsageError(
            f"--plot={_PLOT.value}: it shows no case that --cases={_CASES.value} finds"
        )
    machine = run.machine_of(device)
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    _print_row(results.HEADINGS)
    rows = []
    try:
        for row in run.measure(device, _CASES.value, _PEERS.value, _SECONDS.value, print):
            rows.append(row)
            _print_row(results.cells(row))
    except WrongAnswer as error:
        sys.exit(f"a wrong answer is not timed: {error}")
    except KeyboardInterrupt:
        sys.exit(f"interrupted after {len(rows)} rows")
    finally:  # what was measured is worth as much, whatever ends the run
        if rows:
            _write(results.Run(machine, rows))
    if not rows:
        sys.exit("every case was left out")


def run_main() -> None:
    app.run(main)


if __name__ == "__main__":
    run_main()
