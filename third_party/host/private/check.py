"""Looks at what the machine gives to a build: C library, compiler, linker. docs/hermeticity.md

Says what is missing, too old or broken before anything is fetched or compiled. Runs in a repository
rule: standard library only.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

# The first with flags for AMX.
OLDEST_GCC = 11
# The wheels of torch and of CUDA are built for manylinux_2_28.
OLDEST_GLIBC = (2, 28)

_HEADERS = "#include <cstdint>\n#include <optional>\n"
_PROGRAM = _HEADERS + "int main() { return 0; }\n"


class HostError(Exception):
    """The machine lacks something: what, what was wanted, and what helps."""


def _run(*command: str, text: str = "") -> subprocess.CompletedProcess:
    # As actions will run it: CPATH, LIBRARY_PATH and the like are not there.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    return subprocess.run(command, input=text, capture_output=True, text=True, env=environment)


def check_machine(machine: str) -> None:
    """Refuses a processor that the locked wheels are not for."""
    if machine not in ("x86_64", "amd64"):
        raise HostError(f"the locked wheels are for x86-64, and this machine is {machine}")


def check_glibc(library: str) -> str:
    """Returns the version in confstr's `glibc 2.36`; another C library says something else."""
    found = re.fullmatch(r"glibc (\d+)\.(\d+).*", library)
    wanted = ".".join(map(str, OLDEST_GLIBC))
    if not found:
        raise HostError(f"wanted glibc {wanted} or later, and this machine has {library or 'none'}")
    if (int(found[1]), int(found[2])) < OLDEST_GLIBC:
        raise HostError(
            f"wanted glibc {wanted} or later (the wheels are built for it), and this machine has "
            f"{library}"
        )
    return f"{found[1]}.{found[2]}"


def find_compiler(name: str) -> str:
    """Returns the path of the compiler that CC names, or else of `gcc`."""
    path = shutil.which(name)
    if not path:
        raise HostError(
            f"there is no C++ compiler: {name} is not "
            f"{'there' if '/' in name else 'on PATH'}. Install gcc and g++ {OLDEST_GCC} or later "
            "(on Debian: apt-get install g++), or set CC to a compiler"
        )
    return path


def check_compiler(path: str) -> int:
    """Compiles and links C++ with `path`; returns the major version of a GCC, 0 for another one."""
    asked = _run(path, "-dumpfullversion", "-dumpversion")
    version = asked.stdout.strip()
    if asked.returncode or not re.match(r"\d+(\.|$)", version):
        words = (asked.stderr or asked.stdout).strip()
        raise HostError(f"{path} does not say its version (-dumpversion): {words}")
    major = int(version.split(".")[0])
    gcc = "clang" not in _run(path, "--version").stdout.lower()
    if gcc and major < OLDEST_GCC:
        raise HostError(
            f"{path} is GCC {version}, wanted {OLDEST_GCC} or later: the kernels use AMX. "
            "Set CC to a newer one"
        )
    language = ("-x", "c++", "-std=c++17", "-")
    compiled = _run(path, "-fsyntax-only", *language, text=_HEADERS)
    if compiled.returncode:
        raise HostError(
            f"{path} {version} does not compile C++; install g++ of the same version. It says:\n"
            f"{compiled.stderr.strip()}"
        )
    with tempfile.TemporaryDirectory() as scratch:
        output = os.path.join(scratch, "program")
        linked = _run(path, *language, "-o", output, "-lstdc++", "-lm", "-lpthread", text=_PROGRAM)
    if linked.returncode:
        raise HostError(
            f"{path} {version} does not link; install binutils and libc6-dev. It says:\n"
            f"{linked.stderr.strip()}"
        )
    return major if gcc else 0


def _glibc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ""


def main() -> None:
    check_machine(platform.machine())
    check_glibc(_glibc())
    # A toolchain that Bazel is given in place of the machine's is not ours to look at.
    if os.environ.get("BAZEL_DO_NOT_DETECT_CPP_TOOLCHAIN") == "1":
        print(json.dumps({"compiler": "", "gcc": 0}))
        return
    compiler = find_compiler(os.environ.get("CC") or "gcc")
    print(json.dumps({"compiler": compiler, "gcc": check_compiler(compiler)}))


if __name__ == "__main__":
    try:
        main()
    except HostError as error:
        sys.exit(str(error))
