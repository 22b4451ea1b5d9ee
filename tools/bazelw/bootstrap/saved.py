"""Packages in a folder, for machines that reach no mirror; `packages.json` says which they are."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from report import StepError, say

_LIST = "packages.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def write(folder: Path, found: str, packages: Sequence[Path]) -> None:
    """Copies `packages` into `folder`; the list comes last, so it is there when all of them are."""
    for package in packages:
        shutil.copy(package, folder)
    hashes = {package.name: _sha256(folder / package.name) for package in packages}
    for stale in set(folder.glob("*.deb")) - {folder / name for name in hashes}:
        stale.unlink()
    text = json.dumps({"bazel": found, "packages": hashes}, indent=1)
    (folder / _LIST).write_text(text + "\n")


def read(folder: Path, version: str) -> list[Path]:
    """The packages of `folder`, each compared with its hash; StepError if they are not as saved."""
    if not (folder / _LIST).is_file():
        raise StepError(f"{folder} has no {_LIST}: fill the folder with tools/offline/fill.py")
    listing = json.loads((folder / _LIST).read_text())
    major = version.partition(".")[0]
    if not listing["bazel"].startswith(f"{major}."):
        raise StepError(f"{folder} holds Bazel {listing['bazel']}, wanted {major}.x: fill it again")
    for name, digest in listing["packages"].items():
        if not (folder / name).is_file() or _sha256(folder / name) != digest:
            raise StepError(f"{folder / name} is missing or not as it was saved: fill it again")
    say(f"1/4 found Bazel {listing['bazel']} in {folder}")
    say(f"2/4 taking {len(listing['packages'])} packages from there")
    return [folder / name for name in listing["packages"]]
