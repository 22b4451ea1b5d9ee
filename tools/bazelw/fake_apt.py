"""Stands for apt-get, apt-cache, dpkg and dpkg-deb in tests: see fake_debian.py."""

import hashlib
import os
import sys
import tarfile
import time
from pathlib import Path

_FAKE = Path(os.environ["FAKE_DEBIAN"])
_ARCHIVE = _FAKE / "archive"


def _obey(tool: str) -> None:
    if (_FAKE / f"fail-{tool}").exists():
        print((_FAKE / f"fail-{tool}").read_text(), file=sys.stderr)
        sys.exit(100)
    if (_FAKE / f"pause-{tool}").exists():
        (_FAKE / f"paused-{tool}").touch()
        time.sleep(60)


def _file(name: str) -> Path:
    return _ARCHIVE / f"{name}_1_all.deb"


def _download(names: list[str], only_list: bool) -> None:
    if only_list:
        print("Reading package lists...")
        for name in names:
            data = _file(name).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            print(f"'http://mirror/{name}.deb' {_file(name).name} {len(data)} SHA256:{digest}")
        return
    for number, name in enumerate(names):
        if number == 2:
            _obey("download")
        data = _file(name).read_bytes()
        corrupt = _FAKE / "corrupt"
        if corrupt.exists() and corrupt.read_text() == name:
            data = bytes(len(data))
        Path(_file(name).name).write_bytes(data)


def _apt_get(arguments: list[str]) -> None:
    names = [a for a in arguments if _file(a).exists()]
    if "download" in arguments:
        _download(names, "--print-uris" in arguments)
    elif "update" in arguments and "--print-uris" in arguments:
        sites = _FAKE / "mirrors"
        print(sites.read_text() if sites.exists() else "'http://mirror/debian/dists/x/InRelease' x")
    elif "update" in arguments:
        _obey("update")
    elif "install" in arguments:
        for deb in sorted(_ARCHIVE.iterdir()):
            print(f"Inst {deb.name.partition('_')[0]} (1 Debian:x [all])")


def main() -> None:
    """Runs the tool named by the first argument."""
    tool, *arguments = sys.argv[1:]
    with open(_FAKE / "calls.log", "a") as log:
        print(tool, *arguments, file=log)
    if tool == "apt-get":
        _apt_get(arguments)
    elif tool == "apt-cache":
        print(f"bazel-bootstrap:\n  Candidate: {(_FAKE / 'candidate').read_text().strip()}")
    elif tool == "dpkg":
        print("amd64")
    elif tool == "dpkg-deb":
        _obey("dpkg-deb")
        _, package, tree = arguments
        with tarfile.open(package) as tar:
            # Two of us may be making the same folder.
            for member in tar:
                os.makedirs(os.path.join(tree, os.path.dirname(member.name)), exist_ok=True)
            tar.extraction_filter = lambda member, path: member  # links may be absolute
            tar.extractall(tree)


main()
