"""Makes Debian's Bazel and its Java runtime work from a folder, on an older Debian."""

import os
import re
import zipfile
from pathlib import Path

import run
from report import StepError

_BASE = "usr/share/bazel"
# What Bazel's default WORKSPACE would otherwise download.
_REPOSITORIES = {
    "rules_cc": "rules/cc",
    "rules_java": "rules/java",
    "rules_python": "rules/python",
    "rules_license": "rules/license",
    "rules_proto": "rules/proto",
    "bazel_skylib": "tools/skylib",
    "bazel_features": "tools/features",
    "platforms": "tools/platforms",
}


def _find_one(tree: Path, pattern: str, what: str) -> Path:
    found = sorted({path.resolve() for path in tree.glob(pattern)})
    if len(found) != 1:
        raise StepError(f"wanted one {what} ({pattern}) in the packages, found {len(found)}")
    return found[0]


def java_home(tree: Path) -> Path:
    """The folder of the one Java runtime in `tree`."""
    return _find_one(tree, "usr/lib/jvm/*/bin/java", "Java runtime").parent.parent


def patch_programs(tree: Path, prefix: Path) -> None:
    """Gives the programs in `tree` the C library they were built with, at its place in `prefix`.

    A DT_RPATH is used and no LD_LIBRARY_PATH, which the compilers that Bazel starts would inherit.
    """
    loader = _find_one(tree, "usr/lib/*/ld-linux*.so.*", "dynamic loader")
    libraries = prefix / loader.parent.relative_to(tree)
    java = java_home(tree)
    helpers = _find_one(tree, "usr/libexec/*/bazel", "folder of Bazel's helper programs")
    programs = [tree / "usr/bin/bazel", java / "bin/java", java / "lib/jspawnhelper"]
    programs += sorted(helpers.iterdir())
    # patchelf is built for the same C library, so the loader has to be named for it as well.
    with_loader = [str(loader), "--library-path", str(loader.parent)]
    patchelf = [*with_loader, str(tree / "usr/bin/patchelf")]
    patchelf += ["--set-interpreter", str(libraries / loader.name), "--force-rpath", "--set-rpath"]
    patchelf += [f"$ORIGIN:$ORIGIN/../lib:$ORIGIN/../lib/server:{libraries}"]
    run.output([*patchelf, *map(str, programs)], "patchelf")
    # Bazel looks for native parts of its jars in its own folder only.
    for library in sorted(loader.parent.glob("libzstd-jni.so")):
        (tree / _BASE / library.name).symlink_to(os.path.relpath(library, tree / _BASE))


def write_class_path(tree: Path, prefix: Path) -> None:
    """Rewrites the server's list of jars: those that exist, in `prefix`, with all they name."""
    listing = tree / _BASE / "bazel_classpath_debian_depends.txt"
    queue = [tree / line.lstrip("/") for line in listing.read_text().split()]
    jars: dict[Path, None] = {}
    while queue:
        jar = queue.pop(0)
        if jar.exists() and jar not in jars:
            jars[jar] = None
            queue += [_named_by(jar, name, tree) for name in _class_path(jar)]
    listing.write_text("".join(f"{prefix / jar.relative_to(tree)}\n" for jar in jars))


def _class_path(jar: Path) -> list[str]:
    # perfmark, for one, is reachable only so; without it the server starts and never answers.
    with zipfile.ZipFile(jar) as archive:
        if "META-INF/MANIFEST.MF" not in archive.namelist():
            return []
        manifest = archive.read("META-INF/MANIFEST.MF").decode()
    unfolded = re.sub(r"\r?\n ", "", manifest)
    match = re.search(r"^Class-Path:(.*?)\r?$", unfolded, re.MULTILINE)
    return match[1].split() if match else []


def _named_by(jar: Path, name: str, tree: Path) -> Path:
    path = name.removeprefix("file:")
    if path.startswith("/"):
        return tree / path.lstrip("/")
    return Path(os.path.normpath(jar.parent / path))


def write_rc(tree: Path, prefix: Path) -> None:
    """Writes `bazelrc`, which makes Bazel use `prefix` and nothing of another Bazel."""
    base = prefix / _BASE
    lines = [
        "startup " + _quote(f"--install_base={base}"),
        "startup --trust_install_base",
        "startup " + _quote(f"--server_javabase={prefix / java_home(tree).relative_to(tree)}"),
    ]
    for name, folder in _REPOSITORIES.items():
        if not (tree / _BASE / folder).is_dir():
            raise StepError(f"the packages hold no {_BASE}/{folder}, wanted for @{name}")
        lines.append("common " + _quote(f"--override_repository={name}={base / folder}"))
    pip = _find_one(tree, "usr/share/python-wheels/pip-*.whl", "pip")
    # third_party/python takes it where the interpreter has none of its own.
    lines.append("common " + _quote(f"--repo_env=STABLEKV_PIP={prefix / pip.relative_to(tree)}"))
    (tree / "bazelrc").write_text("\n".join(lines) + "\n")


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
