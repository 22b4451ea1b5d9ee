"""Runs a Bazel of its own in a consumer workspace, as `consumer_test` says.

The sandbox of the test has no network, and neither has anything that runs in it.
"""

import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tarfile


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--environment", type=pathlib.Path, required=True)
    parser.add_argument("--sources", type=pathlib.Path, required=True)
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--command", action="append", required=True)
    parser.add_argument("--refused", action="append", default=[], nargs=2, help="COMMAND WORDS")
    parser.add_argument("--fetched", action="append", default=[], help="NAME=a file of it")
    parser.add_argument("--wheels", nargs="+", default=[])
    parser.add_argument("--modules", type=pathlib.Path)
    return parser.parse_args()


def as_seen_from_outside(folder: pathlib.Path, copy: pathlib.Path) -> pathlib.Path:
    """Returns a folder like a fetched repository, where labels of ours name @stablekv."""
    copy.mkdir(parents=True)
    for entry in folder.iterdir():
        if entry.name == "BUILD.bazel":
            build = entry.read_text().replace('"@//', '"@stablekv//')
            (copy / entry.name).write_text(build)
        else:
            (copy / entry.name).symlink_to(entry)
    return copy


def bazel_options(options: argparse.Namespace, scratch: pathlib.Path) -> list[str]:
    """Options that stand in for a network; what they name are files of the test's own inputs."""
    result = []
    for pair in options.fetched:
        name, file = pair.split("=", 1)
        (folder,) = [path for path in pathlib.Path(file).resolve().parents if path.name == name]
        # What a module extension declares has its module's and its own name in front.
        full_name = f"stablekv~~stablekv~{name}" if options.modules else name
        folder = as_seen_from_outside(folder, scratch / "fetched" / name)
        result.append(f"--override_repository={full_name}={folder}")
    if options.wheels:
        folder = os.path.dirname(os.path.realpath(options.wheels[0]))
        result.append(f"--repo_env=STABLEKV_WHEELHOUSE={folder}")
    if options.modules:
        for name, folder in json.loads(options.modules.read_text()).items():
            result.append(f"--override_module={name}={folder}")
        result += ["--lockfile_mode=off", "--registry=file:///nowhere"]
    return result


def main() -> int:
    options = parse_arguments()
    scratch = pathlib.Path(os.environ["TEST_TMPDIR"])
    sources = scratch / "stablekv"
    with tarfile.open(options.sources) as tar:
        tar.extractall(sources)
    bazel = [str(sources / "bazelw"), "--nohome_rc", f"--output_user_root={scratch}/bazel"]
    flags = ["--curses=no", "--color=no", "--noshow_progress", "--test_output=errors"]
    flags += ["--experimental_convenience_symlinks=ignore", *bazel_options(options, scratch)]
    # Not this test's own environment: an inner test must not take itself for a shard of it.
    run = {
        "cwd": sources / options.workspace,
        "env": json.loads(options.environment.read_text()),
        "stdin": subprocess.DEVNULL,
    }
    try:
        for words in options.command:
            verb, *rest = shlex.split(words)
            print(f"{options.workspace}$ bazel {words}", flush=True)
            done = subprocess.run([*bazel, verb, *flags, *rest], stderr=subprocess.STDOUT, **run)
            if done.returncode:
                print(f"`bazel {words}` ended with {done.returncode}")
                return 1
        for words, wanted in options.refused:
            verb, *rest = shlex.split(words)
            print(f"{options.workspace}$ bazel {words}", flush=True)
            command = [*bazel, verb, *flags, *rest]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            done = subprocess.run(command, text=True, **pipes, **run)
            if not done.returncode or wanted not in done.stdout:
                print(f"`bazel {words}` ended with {done.returncode}, wanted {wanted!r}; it says:")
                print(done.stdout)
                return 1
    finally:
        subprocess.run([*bazel, "shutdown"], **run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
