"""Unpacks Debian packages into a folder that is not the root of a system."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import run
from report import Progress, StepError


def unpack(packages: Sequence[Path], tree: Path) -> None:
    """Unpacks every package into `tree`, one a processor at a time; their scripts do not run."""
    progress = Progress("unpacked", len(packages))
    queue = list(packages)
    running: list[tuple[Path, subprocess.Popen]] = []
    try:
        while queue or running:
            while queue and len(running) < (os.cpu_count() or 1):
                package = queue.pop(0)
                command = ["dpkg-deb", "--extract", str(package), str(tree)]
                running.append((package, run.start(command, stderr=subprocess.PIPE)))
            package, child = running[0]
            _, complaint = child.communicate()
            running.pop(0)
            if child.returncode != 0:
                raise StepError(f"unpacking {package.name} failed:\n{complaint.strip()}")
            done = len(packages) - len(queue) - len(running)
            progress.update(done, f"{done}/{len(packages)} packages")
    finally:
        for _, child in running:
            child.terminate()
            child.wait()
    # A Debian system has these from its first install on.
    for name in ("bin", "sbin", "lib", "lib64"):
        if not (tree / name).exists():
            (tree / name).symlink_to(f"usr/{name}")
    _make_links_relative(tree)


def _make_links_relative(tree: Path) -> None:
    # Absolute links are meant from the root of a system: keep them inside the tree.
    for folder, names, files in os.walk(tree):
        for name in names + files:
            path = Path(folder, name)
            if path.is_symlink() and os.readlink(path).startswith("/"):
                target = tree / os.readlink(path).lstrip("/")
                path.unlink()
                path.symlink_to(os.path.relpath(target, folder))
