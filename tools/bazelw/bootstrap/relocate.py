"""Unpacks Debian packages into a folder and makes their programs run from there."""

import os
import re
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import run
from report import Progress, StepError



def unpack(packages: Sequence[Path], tree: Path) -> None:
    """Unpacks every package into `tree`; no maintainer script is run."""
    progress = Progress("unpack", len(packages))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        jobs = [
            pool.submit(run.output, ["dpkg-deb", "-x", str(p), str(tree)], f"unpacking {p.name}")
            for p in packages
        ]
        for done, job in enumerate(jobs, 1):
            job.result()
            progress.update(done, f"{done}/{len(packages)} packages")
    for name in ("bin", "sbin", "lib", "lib64"):
        if not (tree / name).exists():
            (tree / name).symlink_to(f"usr/{name}")


def make_links_relative(tree: Path) -> None:
    """Points every absolute symbolic link into `tree`, where the packages meant it to lead."""
    for folder, names, files in os.walk(tree):
        for name in names + files:
            path = Path(folder, name)
            if path.is_symlink() and os.readlink(path).startswith("/"):
                target = tree / os.readlink(path).lstrip("/")
                path.unlink()
                path.symlink_to(os.path.relpath(target, folder))


def find_one(tree: Path, pattern: str, what: str) -> Path:
    """The one path (after following links) that matches `pattern`; StepError if not just one."""
    found = sorted({p.resolve() for p in tree.glob(pattern)})
    if len(found) != 1:
        raise StepError(f"expected one {what} ({pattern}), the packages hold {len(found)}")
    return found[0]


def patch_programs(tree: Path, prefix: Path) -> None:
    """Gives the programs the C library they were built with: the machine's may be older.

    A fixed DT_RPATH is used and no LD_LIBRARY_PATH, which the compilers that Bazel starts
    would inherit.
    """
    loader = find_one(tree, "usr/lib/*/ld-linux-*.so.*", "dynamic loader")
    libraries = loader.parent
    jre = find_one(tree, "usr/lib/jvm/*/bin/java", "Java runtime").parent.parent
    programs = [tree / "usr/bin/bazel", jre / "bin/java", jre / "lib/jspawnhelper"]
    programs += sorted((libraries_exec(tree)).iterdir())
    installed = prefix / libraries.relative_to(tree)
    rpath = f"$ORIGIN:$ORIGIN/../lib:$ORIGIN/../lib/server:{installed}"
    patchelf = [str(loader), "--library-path", str(libraries), str(tree / "usr/bin/patchelf")]
    for program in programs:
        run.output(
            [*patchelf, "--set-interpreter", str(installed / loader.name),
             "--force-rpath", "--set-rpath", rpath, str(program)],
            f"patching {program.name}",
        )


def libraries_exec(tree: Path) -> Path:
    """The folder of Bazel's helper programs (sandbox, process wrapper and others)."""
    return find_one(tree, "usr/libexec/*/bazel", "folder of Bazel's helpers")


def write_class_path(tree: Path, prefix: Path) -> None:
    """Rewrites the server's list of jars: in the prefix, existing ones, with what they name."""
    listing = tree / "usr/share/bazel/bazel_classpath_debian_depends.txt"
    jars: dict[Path, None] = {}
    queue = [tree / line.lstrip("/") for line in listing.read_text().split()]
    while queue:
        jar = queue.pop(0)
        if jar.exists() and jar not in jars:
            jars[jar] = None
            queue += [_beside(jar, name, tree) for name in _class_path(jar)]
    listing.write_text("".join(f"{prefix / jar.relative_to(tree)}\n" for jar in jars))


def _beside(jar: Path, name: str, tree: Path) -> Path:
    if name.startswith("/"):
        return tree / name.lstrip("/")
    return Path(os.path.normpath(jar.parent / name))


def _class_path(jar: Path) -> list[str]:
    # perfmark, for one, is reachable only so; without it the server starts and never answers.
    with zipfile.ZipFile(jar) as archive:
        try:
            manifest = archive.read("META-INF/MANIFEST.MF").decode()
        except KeyError:
            return []
    unfolded = re.sub(r"\r?\n ", "", manifest)
    match = re.search(r"^Class-Path: *(.*?)\r?$", unfolded, re.MULTILINE)
    return [name for name in match[1].split() if ":" not in name] if match else []
