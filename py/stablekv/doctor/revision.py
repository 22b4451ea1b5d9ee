"""The git revision that the package was made from.

A wheel of `--config=release` has it in a file. In a checkout git knows it. Other builds record
none, so that a commit that changes nothing in them does not make them anew.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
from typing import Any

RECORD = "_revision.json"  # {"revision": 40 hex digits, "dirty": bool}


def find(package: pathlib.Path) -> dict[str, Any]:
    """`revision` and `dirty` are None where they are unknown; `source` says where from, or why.

    Args:
      package: the folder of stablekv's own __init__.py.
    """
    record = package / RECORD
    if record.is_file():
        written = json.loads(record.read_text())
        return {
            "revision": written["revision"],
            "dirty": written["dirty"],
            "source": "recorded by the build",
        }
    if package.name == "stablekv" and (package.parent.parent / ".git").exists():
        return _of_checkout(package.parent.parent)
    return unknown("this build recorded none: --config=release does")


def _of_checkout(root: pathlib.Path) -> dict[str, Any]:
    try:
        revision = _git(root, "rev-parse", "HEAD").strip()
        dirty = bool(_git(root, "status", "--porcelain").strip())
    except (OSError, subprocess.SubprocessError) as error:
        return unknown(f"git did not say: {error}")
    return {"revision": revision, "dirty": dirty, "source": f"the checkout {root}"}


def _git(root: pathlib.Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout


def unknown(why: str) -> dict[str, Any]:
    """What there is to say of a revision that cannot be found out."""
    return {"revision": None, "dirty": None, "source": why}
