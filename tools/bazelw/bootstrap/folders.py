"""Folders that come and go while a private Bazel is made."""

import os
import shutil
from pathlib import Path


def remove(folder: Path) -> None:
    """Removes `folder` with all in it, read-only parts (Bazel makes some) included."""
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o755)
    shutil.rmtree(folder)
