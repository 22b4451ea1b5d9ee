"""Builds //:wheel twice, in two clones with output folders of their own, and compares the bytes.

    ./bazelw run //tools/wheel:reproduce -- [--options=--config=release] [--work=FOLDER]

Both builds start from nothing: no cache of actions is used, so this takes twice as long as a first
build. What is not committed is not built.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from absl import app, flags

_OPTIONS = flags.DEFINE_multi_string("options", [], "Options for both builds.")
_WORK = flags.DEFINE_string("work", None, "The folder to work in; a temporary one by default.")

# Of different lengths: a path that finds its way into a file shows in its size as well.
_FOLDERS = ("a", "another/folder/of_a_longer_name")


def _build(root: pathlib.Path, folder: pathlib.Path, options: list[str]) -> pathlib.Path:
    clone, output = folder / "clone", folder / "output"
    folder.mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
    bazel = ["./bazelw", f"--output_base={output}"]
    subprocess.run([*bazel, "build", "--disk_cache=", *options, "//:wheel"], cwd=clone, check=True)
    (wheel,) = (clone / "bazel-bin" / "wheel").iterdir()
    kept = shutil.copy(wheel, folder)
    subprocess.run([*bazel, "clean", "--expunge"], cwd=clone, check=True)
    return pathlib.Path(kept)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    root = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    work = pathlib.Path(_WORK.value or tempfile.mkdtemp(prefix="stablekv_wheel_"))
    wheels = [_build(root, work / folder, _OPTIONS.value) for folder in _FOLDERS]
    for wheel in wheels:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        print(f"{digest}  {wheel.stat().st_size} bytes  {wheel}")
    same = wheels[0].read_bytes() == wheels[1].read_bytes() and wheels[0].name == wheels[1].name
    print("the same bytes" if same else "NOT the same")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    app.run(main)
