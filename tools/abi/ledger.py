"""The ledger: each extension's operators and what binds it to one torch, checked in by name.

{"_C": {"operators": [...], "unstable_symbols": [...]}, ...}, readable names, sorted.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

from tools.abi import elf, schemas, shim
from tools.abi.audit import audit
from tools.abi.demangle import demangle

Ledger = dict[str, dict[str, list[str]]]

REFRESH = "./bazelw run //tools/abi:update_ledger"


def of(paths: Iterable[pathlib.Path]) -> Ledger:
    """The ledger of built extensions; each goes by its file's name without `.so`."""
    functions = shim.of_build()
    return {
        path.stem: {
            "operators": sorted(schemas.find(path)),
            "unstable_symbols": sorted(map(demangle, audit(elf.read(path), functions).unstable)),
        }
        for path in sorted(paths)
    }


def _movement(before: list[str], after: list[str]) -> str:
    added = [f"+{name}" for name in after if name not in before]
    return ", ".join(added + [f"-{name}" for name in before if name not in after])


def moved(written: Ledger, built: Ledger) -> list[str]:
    """A line for each list that differs; a rise of unstable symbols is called one."""
    lines = []
    for extension in sorted(written.keys() | built.keys()):
        for part in ("unstable_symbols", "operators"):
            before = written.get(extension, {}).get(part, [])
            after = built.get(extension, {}).get(part, [])
            if before != after:
                verdict = "stale"
                if part == "unstable_symbols" and len(after) > len(before):
                    verdict = "more of what binds to one torch"
                counts = f"{len(before)} -> {len(after)}"
                change = _movement(before, after)
                lines.append(f"{extension}: {verdict}: {part} {counts}: {change} ({REFRESH})")
    return lines
