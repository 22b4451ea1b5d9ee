"""Achieved bandwidth against the bytes of a step: a line a subject, the limit as the ceiling."""

from __future__ import annotations

import collections
import importlib.util
import pathlib

from stablekv.bench.results import Run

SUFFIXES = (".png", ".svg")


def is_possible() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def shows(case: str) -> bool:
    """Whether the plot has a place for the case of this name: decode, and no variant of a shape.

    Those (head sizes, versions, lengths that differ) have no size of their own to stand at.
    """
    kind, *words = case.split("/")
    return kind == "decode" and len(words) == 4 and not words[2].endswith("r")


def write_plot(run: Run, path: pathlib.Path) -> None:
    """Writes the rows of a run that it shows as a picture; the suffix of `path` says of what kind.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the run has no such rows.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points = collections.defaultdict(lambda: collections.defaultdict(list))
    for row in run.rows:
        if shows(row.case):
            _, heads, _, _, stored = row.case.split("/")
            place = points[heads, stored]
            place[row.subject].append((row.bytes / 2**20, row.gigabytes_per_second))
            place["limit"].append((row.bytes / 2**20, row.bytes / row.limit / 1e3))
    if not points:
        raise ValueError("no decode case was measured: there is nothing to plot")
    # One look for a subject in all panels, and one legend.
    named = dict.fromkeys(subject for panel in points.values() for subject in panel)
    named.pop("limit")
    palette = matplotlib.colormaps["tab20"].colors
    palette = palette[::2] + palette[1::2]  # the ten usual ones, then lighter ones
    colors = {subject: palette[n % len(palette)] for n, subject in enumerate(named)}
    columns = min(3, len(points))
    rows = -(-len(points) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(5 * columns, 3.6 * rows), squeeze=False, sharey=True
    )
    for ax in axes.flat[len(points) :]:
        ax.set_visible(False)
    lines = {}
    for ax, ((heads, stored), subjects) in zip(axes.flat, sorted(points.items()), strict=False):
        for subject, line in subjects.items():
            x, y = zip(*sorted(set(line)), strict=True)
            if subject == "limit":
                lines[subject] = ax.plot(x, y, "k--")[0]
            else:
                lines[subject] = ax.plot(x, y, "o-", color=colors[subject], markersize=3)[0]
        query_heads, kv_heads = heads.split("-")
        ax.set_title(f"{query_heads} query, {kv_heads} kv heads, {stored}", fontsize=9)
        ax.set_xscale("log", base=2)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("KV of a step, MiB")
        ax.grid(alpha=0.3)
    for ax in axes[:, 0]:
        ax.set_ylabel("GB/s")
    figure.suptitle(run.machine.get("device", ""), fontsize=10)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.legend(lines.values(), lines, loc="lower center", ncols=len(lines), fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
