"""Makes a private Bazel from Debian's packages in a folder of the user's, without root."""

import argparse
import fcntl
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import relocate
import run
from archive import Archive
from report import StepError, megabytes, say

_PACKAGES = ["bazel-bootstrap", "patchelf"]
# By code name: these suites keep their name, and their Bazel, when Debian makes a release.
_SUITES = ["forky", "sid"]
# Parts of the closure that Bazel does not need to run: compilers, scripting languages, the JDK.
_UNNEEDED = re.compile(
    r"""default-jdk-headless | openjdk-.*-jdk-headless | java-common | ca-certificates-java
    | build-essential | make | patch | .*-dev | .*-dev-bin | (gcc|g\+\+|cpp)(-.*)? | binutils.*
    | lib(asan|lsan|tsan|ubsan|hwasan|itm|quadmath|gomp|cc1|mpc|mpfr|isl|gmp|ctf|gprofng|sframe).*
    | libbinutils | linux-libc-dev | perl.* | libperl.* | (lib)?python.* | libsqlite3.*
    | dpkg.* | libdpkg-perl | debconf | util-linux | libpam.* | openssl | xz-utils | bzip2 | unzip
    | tzdata | media-types | netbase | libreadline.* | readline-common""",
    re.VERBOSE,
)
_RULES = {
    "rules_cc": "rules/cc",
    "rules_java": "rules/java",
    "rules_python": "rules/python",
    "rules_license": "rules/license",
    "rules_proto": "rules/proto",
    "bazel_skylib": "tools/skylib",
    "bazel_features": "tools/features",
    "platforms": "tools/platforms",
}


def _quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write_rc(tree: Path, prefix: Path) -> None:
    base = prefix / "usr/share/bazel"
    jre = relocate.find_one(tree, "usr/lib/jvm/*/bin/java", "Java runtime").parent.parent
    lines = [
        "startup " + _quote(f"--install_base={base}"),
        "startup --trust_install_base",
        "startup " + _quote(f"--server_javabase={prefix / jre.relative_to(tree)}"),
    ]
    # What the default WORKSPACE would otherwise download.
    for name, folder in _RULES.items():
        if not (tree / "usr/share/bazel" / folder).is_dir():
            raise StepError(f"the packages hold no {folder}, wanted for @{name}")
        lines.append("common " + _quote(f"--override_repository={name}={base / folder}"))
    (tree / "bazelrc").write_text("\n".join(lines) + "\n")


def _choose(archive: Archive, major: str) -> str:
    """Selects the first mirror and suite with a Bazel of this major version."""
    mirrors = archive.mirrors()
    if not mirrors:
        raise StepError("apt knows no Debian mirror: nothing in /etc/apt names one")
    tried = []
    for mirror in mirrors:
        for suite in _SUITES:
            complaint = archive.select(mirror, suite)
            version = None if complaint else archive.candidate(_PACKAGES[0])
            if version and version.startswith(f"{major}."):
                return f"{version} from Debian {suite}"
            tried.append(f"  {mirror} {suite}: {complaint or version or 'no such package'}")
    raise StepError(
        f"no {_PACKAGES[0]} {major}.x was found, but:\n" + "\n".join(tried)
    )


def _make(version: str, prefix: Path) -> None:
    home = prefix.parent / "download"
    tree = prefix.with_name(prefix.name + ".partial")
    say("1/4 reading the package index (10 MB)")
    archive = Archive(home)
    major = version.partition(".")[0]
    say(f"    Bazel {_choose(archive, major)}")
    names = [n for n in archive.closure(_PACKAGES) if not _UNNEEDED.fullmatch(n)]
    say("2/4 packages")
    packages = archive.fetch(names)
    say(f"3/4 unpacking {len(packages)} packages")
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    relocate.unpack(packages, tree)
    say("4/4 fitting them to this folder")
    relocate.make_links_relative(tree)
    relocate.patch_programs(tree, prefix)
    relocate.write_class_path(tree, prefix)
    _write_rc(tree, prefix)
    (tree / "ready").write_text("")
    tree.rename(prefix)
    shutil.rmtree(home, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", required=True)
    parser.add_argument("--prefix", type=Path, required=True)
    flags = parser.parse_args()
    start = time.monotonic()
    flags.prefix.parent.mkdir(parents=True, exist_ok=True)
    with open(flags.prefix.parent / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another bazelw is making the private Bazel; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (flags.prefix / "ready").exists():
            return 0
        say(f"no Bazel 7 on PATH: making a private one in {flags.prefix}")
        _make(flags.version, flags.prefix)
    say(f"done in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except StepError as error:
        say(f"no private Bazel: {error}")
        say("a bazel or bazelisk on PATH (7.x) is used instead, if you install one")
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; what was fetched is kept for the next run")
        sys.exit(130)
