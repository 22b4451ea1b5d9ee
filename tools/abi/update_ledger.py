"""Writes csrc/abi_ledger.json from the extensions as they are built now.

./bazelw run //tools/abi:update_ledger
"""

from __future__ import annotations

import json
import os
import pathlib

from absl import app

from tools.abi import ledger


def main(argv: list[str]) -> None:
    if len(argv) < 2:
        raise app.UsageError("wanted the extensions")
    root = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    path = root / "csrc" / "abi_ledger.json"
    built = ledger.of(map(pathlib.Path, argv[1:]))
    written = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(built, indent=2) + "\n")
    print("\n".join(ledger.moved(written, built)) or "the ledger was up to date")


if __name__ == "__main__":
    app.run(main)
