"""The recipe: which packages a private Bazel is made of, and in what order."""

import re
from pathlib import Path

import apt_config
import folders
import relocate
import run
import saved
import truststore
from archive import Archive
from report import StepError, say
from unpack import unpack

# The last is for a machine whose python3.11 has no pip.
_PACKAGES = ("bazel-bootstrap", "patchelf", "ca-certificates", "python3-pip-whl")
# By code name: a suite keeps its name, and its Bazel, when Debian makes a release.
_SUITES = ("forky", "sid")
# Parts of the closure that Bazel does not need to run: compilers, script languages, the JDK.
_UNNEEDED = re.compile(
    r"""default-jdk-headless | openjdk-.*-jdk-headless | java-common | ca-certificates-java
    | build-essential | make | patch | .*-dev | .*-dev-bin | (gcc|g\+\+|cpp)(-.*)? | binutils.*
    | lib(asan|lsan|tsan|ubsan|hwasan|itm|quadmath|gomp|cc1|mpc|mpfr|isl|gmp|ctf|gprofng|sframe).*
    | libbinutils | linux-libc-dev | perl.* | libperl.* | (lib)?python(?!3-pip-whl).* | libsqlite3.*
    | dpkg.* | libdpkg-perl | debconf | util-linux | libpam.* | openssl | xz-utils | bzip2 | unzip
    | tzdata | media-types | netbase | libreadline.* | readline-common""",
    re.VERBOSE,
)


def _fetch(version: str, home: Path) -> tuple[str, list[Path]]:
    """Fetches into `home` what Bazel is made of: its version, and the packages."""
    say("1/4 reading the package index (10 MB)")
    archive = Archive(home)
    found = _select(archive, apt_config.mirrors(home), version)
    say(f"    found Bazel {found}")
    names = [n for n in archive.closure(_PACKAGES) if not _UNNEEDED.fullmatch(n)]
    return found, archive.fetch(names)


def save(version: str, folder: Path) -> None:
    """Puts the packages of a Bazel into `folder`, for `make` on a machine without a mirror."""
    home = folder / "download"
    saved.write(folder, *_fetch(version, home))
    folders.remove(home)


def make(version: str, prefix: Path, offline: Path | None) -> None:
    """Makes a Bazel of the major version of `version` in `prefix`, which must not exist.

    It is put together in a folder beside it; packages fetched before an interruption are used. With
    `offline`, a folder that `save` filled, nothing is fetched.
    """
    home = prefix.with_name("download")
    home.mkdir(exist_ok=True)
    tree = prefix.with_name(prefix.name + ".partial")
    packages = saved.read(offline, version) if offline else _fetch(version, home)[1]
    say(f"3/4 unpacking {len(packages)} packages")
    tree.mkdir()
    unpack(packages, tree)
    say("4/4 fitting it to this folder and trying it")
    relocate.patch_programs(tree, prefix)
    relocate.write_class_path(tree, prefix)
    relocate.write_rc(tree, prefix)
    truststore.write(tree, relocate.java_home(tree) / "lib/security/cacerts")
    tree.rename(prefix)
    try:
        _try_out(prefix, home)
        (prefix / "ready").touch()
    except BaseException:
        prefix.rename(tree)
        raise
    folders.remove(home)


def _select(archive: Archive, mirrors: list[str], version: str) -> str:
    major = version.partition(".")[0]
    tried = []
    for mirror in mirrors:
        for suite in _SUITES:
            try:
                archive.select(mirror, suite)
                found = archive.candidate(_PACKAGES[0])
                if found and found.startswith(f"{major}."):
                    return f"{found} in Debian {suite}"
                tried.append(f"{mirror} {suite} holds {found or 'none'}")
            except StepError as error:
                tried.append(str(error))
    raise StepError(f"no package {_PACKAGES[0]} {major}.x was found:\n" + "\n".join(tried))


def _try_out(prefix: Path, home: Path) -> None:
    # A change in Debian's packages shows here, and not as a hang in the middle of a build.
    trial = home / "trial"
    if trial.exists():
        folders.remove(trial)
    trial.mkdir()
    (trial / "WORKSPACE").touch()
    bazel = [f"{prefix}/usr/bin/bazel", "--nosystem_rc", "--nohome_rc", "--noworkspace_rc"]
    bazel += [f"--bazelrc={prefix}/bazelrc", f"--output_user_root={trial}/root", "--batch"]
    bazel += [f"--host_jvm_args=-Djava.io.tmpdir={trial}", "--host_jvm_args=-XX:-UsePerfData"]
    run.output([*bazel, "info", "release"], "the new Bazel", seconds=120, cwd=trial)
