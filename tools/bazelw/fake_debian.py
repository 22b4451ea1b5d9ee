"""A machine made of scripts: a tiny Debian archive and the tools of apt to read it.

Tests of bazelw run on it without network. Every tool leaves a line in `calls.log`, and does what
files in the folder ask for: `fail-TOOL` (its text is the complaint), `pause-TOOL` (it says so in
`paused-TOOL`, then sleeps), `candidate` (the version offered), `corrupt` (a package's name).
"""

import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_HOST_TOOLS = ("bash", "cat", "env", "head", "readlink", "sha256sum", "sleep", "timeout", "tr")
_FAKE_TOOLS = ("apt-get", "apt-cache", "dpkg", "dpkg-deb")
_BASE = "usr/share/bazel"

# Says how it was called; `info release` is what the bootstrap tries it with.
_BAZEL = """#!/usr/bin/env bash
echo "bazel $*" >> "$FAKE_DEBIAN/calls.log"
if [[ $* == *"info release"* ]]; then
  if [[ -e $FAKE_DEBIAN/pause-bazel ]]; then
    true > "$FAKE_DEBIAN/paused-bazel"
    exec sleep 60
  fi
  [[ ! -e $FAKE_DEBIAN/fail-bazel ]] || { cat "$FAKE_DEBIAN/fail-bazel" >&2; exit 37; }
  echo development version
  exit
fi
printf '[%s]' private "$@"
exit "${FAKE_EXIT:-0}"
"""
# Called as LOADER --library-path FOLDER PROGRAM ARGUMENT...
_LOADER = '#!/usr/bin/env bash\nshift 2\nexec "$@"\n'
_PATCHELF = '#!/usr/bin/env bash\nprintf "%s\\n" "$@" > "$FAKE_DEBIAN/patchelf.log"\n'


def _jar(class_path: str = "") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as jar:
        if class_path:
            # A manifest's lines are folded after 72 bytes.
            head, tail = class_path[:10], class_path[10:]
            jar.writestr(
                "META-INF/MANIFEST.MF",
                f"Manifest-Version: 1.0\r\nClass-Path: {head}\r\n {tail}\r\nX: y\r\n",
            )
        else:
            jar.writestr("A.class", "")
    return data.getvalue()


def _packages() -> dict[str, dict[str, bytes | str]]:
    """Package name -> path -> contents, or for a link "-> target"."""
    listed = ("a", "gone")
    bazel: dict[str, bytes | str] = {
        "usr/bin/bazel": _BAZEL,
        "usr/libexec/arch/bazel/linux-sandbox": "program",
        f"{_BASE}/build-label.txt": "7.7.1\n",
        f"{_BASE}/linux-sandbox": "-> /usr/libexec/arch/bazel/linux-sandbox",
        f"{_BASE}/bazel_classpath_debian_depends.txt": "".join(
            f"/usr/share/java/{name}.jar\n" for name in listed
        ),
    }
    for folder in ("cc", "java", "python", "license", "proto"):
        bazel[f"{_BASE}/rules/{folder}/BUILD"] = ""
    for folder in ("skylib", "features", "platforms"):
        bazel[f"{_BASE}/tools/{folder}/BUILD"] = ""
    java = "usr/lib/jvm/java-25"
    return {
        "bazel-bootstrap": bazel,
        "liba-java": {
            "usr/share/java/a.jar": _jar("b.jar /usr/share/java/c.jar missing.jar"),
            "usr/share/java/b.jar": _jar(),
            "usr/share/java/c.jar": "-> c-1.jar",
            "usr/share/java/c-1.jar": _jar("a.jar"),
        },
        "libc6": {"usr/lib/arch/ld-linux-arch.so.2": _LOADER, "usr/lib64/marker": ""},
        "libzstd-jni1": {"usr/lib/arch/libzstd-jni.so": "library"},
        "patchelf": {"usr/bin/patchelf": _PATCHELF},
        "python3-pip-whl": {"usr/share/python-wheels/pip-25.1-py3-none-any.whl": "wheel"},
        "python3": {"usr/bin/python3": "must not be fetched"},
        "openjdk-25-jre-headless": {
            f"{java}/bin/java": "program",
            f"{java}/lib/jspawnhelper": "program",
            f"{java}/lib/security/cacerts": "-> /etc/ssl/certs/java/cacerts",
            "usr/lib/jvm/default-java": "-> java-25",
        },
        "gcc-16": {"usr/bin/gcc": "must not be fetched"},
    }


def _write_package(path: Path, files: dict[str, bytes | str]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if isinstance(content, str) and content.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, content[3:]
                tar.addfile(info)
                continue
            data = content.encode() if isinstance(content, str) else content
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_script(path: Path, text: str) -> Path:
    """Writes a program."""
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class Machine:
    """A checkout with a space in its path, an archive, and a PATH with nothing else on it."""

    def __init__(self, root: Path, source: Path) -> None:
        """`root`: an empty folder; `source`: where bazelw is copied from."""
        self.fake = root / "fake"
        self.bin = root / "bin"
        self.repo = root / "my checkout"
        self.cache = root / "my cache"
        for folder in (self.fake / "archive", self.bin, self.repo / "tools/bazelw", root / "home"):
            folder.mkdir(parents=True)
        for name in ("bazelw", ".bazelversion"):
            shutil.copy(source / name, self.repo / name)
        shutil.copytree(
            source / "tools/bazelw/bootstrap",
            self.repo / "tools/bazelw/bootstrap",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for name, files in _packages().items():
            _write_package(self.fake / "archive" / f"{name}_1_all.deb", files)
        (self.fake / "candidate").write_text("7.7.1+ds-8\n")
        for name in _HOST_TOOLS:
            tool = shutil.which(name)
            assert tool is not None, name
            (self.bin / name).symlink_to(tool)
        python = f'exec "{sys.executable}"'
        write_script(self.bin / "python3.11", f'#!/usr/bin/env bash\n{python} "$@"\n')
        for name in _FAKE_TOOLS:
            command = f'{python} -I -S "{_HERE / "fake_apt.py"}" {name} "$@"'
            write_script(self.bin / name, f"#!/usr/bin/env bash\n{command}\n")
        self.environment = {
            "PATH": str(self.bin),
            "HOME": str(root / "home"),
            "XDG_CACHE_HOME": str(self.cache),
            "FAKE_DEBIAN": str(self.fake),
        }

    @property
    def folder(self) -> Path:
        """Where the private Bazels are."""
        return self.cache / "stablekv/bazel"

    def prefixes(self) -> list[Path]:
        """The private Bazels that are complete."""
        return [ready.parent for ready in self.folder.glob("*/ready")]

    def add(self, name: str, version: str) -> Path:
        """Puts on PATH a program that claims to be this Bazel, and otherwise tells its call."""
        return write_script(
            self.bin / name,
            f"""#!/usr/bin/env bash
if [[ ${{1-}} == --version ]]; then echo 'bazel {version}'; exit; fi
pwd > "$FAKE_DEBIAN/pwd"
printf '[%s]' {name} "$@" "use=${{USE_BAZEL_VERSION-}}"
if [[ ${{1-}} == cat ]]; then cat; fi
if [[ ${{1-}} == wait ]]; then
  trap 'exit 8' TERM
  true > "$FAKE_DEBIAN/up"
  for _ in {{1..600}}; do sleep 0.1; done
fi
exit "${{FAKE_EXIT:-0}}"
""",
        )

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen:
        """Starts bazelw in a session of its own; `options` are Popen's."""
        options = {"cwd": self.repo, "env": self.environment, "stdin": subprocess.DEVNULL} | options
        return subprocess.Popen(
            [str(self.repo / "bazelw"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        """Runs bazelw to its end with these variables added to its environment."""
        with self.start(*arguments, env=self.environment | variables) as child:
            out, err = child.communicate(timeout=200)
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)

    def calls(self, of: str) -> list[str]:
        """The calls of one tool, so far."""
        log = self.fake / "calls.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line for line in lines if line.split()[0] == of]


def test_root() -> str:
    """A folder for temporary files that is not under /tmp, where no private Bazel may lie."""
    return os.environ.get("TEST_TMPDIR", "/var/tmp")
