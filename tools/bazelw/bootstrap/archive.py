"""One suite of a Debian mirror: what it holds, and its packages, checked by apt's signatures."""

import hashlib
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import apt_config
import run
from report import Progress, StepError, megabytes, say


@dataclass(frozen=True)
class Package:
    """One package to fetch, as the signed index describes it (size in bytes)."""

    name: str
    file: str
    size: int
    sha256: str


class Archive:
    """A private apt with `home` as its only folder; it is kept until the packages are unpacked."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._packages = home / "packages"
        self._config = apt_config.write(home)

    def _apt(self, tool: str, *arguments: str) -> list[str]:
        return [tool, "-c", str(self._config), *arguments]

    def select(self, mirror: str, suite: str) -> None:
        """Fetches the index of a suite; StepError with apt's words if that or its check fails."""
        (self._home / "sources.list").write_text(apt_config.source_line(mirror, suite))
        run.output(
            self._apt("apt-get", "update", "--error-on=any"), f"apt-get update ({mirror} {suite})"
        )

    def candidate(self, name: str) -> str | None:
        """The version of package `name` that would be installed, or None when there is none."""
        policy = run.output(self._apt("apt-cache", "policy", name), "apt-cache policy")
        match = re.search(r"Candidate: (\S+)", policy)
        return None if match is None or match[1] == "(none)" else match[1]

    def closure(self, names: Sequence[str]) -> list[str]:
        """Every package that installing `names` on an empty system would bring."""
        plan = run.output(self._apt("apt-get", "-s", "install", *names), "working out the packages")
        return re.findall(r"^Inst (\S+)", plan, re.MULTILINE)

    def fetch(self, names: Sequence[str]) -> list[Path]:
        """Downloads those packages that are not here yet and checks each against the index."""
        listing = run.output(
            self._apt("apt-get", "download", "--print-uris", *names), "listing the packages"
        )
        lines = [line for line in listing.splitlines() if line.startswith("'")]
        wanted = [_parse(line) for line in lines]
        missing = [package for package in wanted if not self._is_here(package)]
        say(
            f"2/4 fetching {len(missing)} packages, {megabytes(sum(p.size for p in missing))}"
            f" (already here: {len(wanted) - len(missing)})"
        )
        if missing:
            self._download(missing)
        for package in missing:
            if not self._is_here(package):
                raise StepError(f"{package.file} is not what the signed index promises")
        return [self._packages / package.file for package in wanted]

    def _is_here(self, package: Package) -> bool:
        path = self._packages / package.file
        if not path.is_file() or path.stat().st_size != package.size:
            return False
        with path.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest() == package.sha256

    def _download(self, packages: Sequence[Package]) -> None:
        total = sum(package.size for package in packages)
        progress = Progress("fetched", total)
        command = self._apt("apt-get", "download", *(package.name for package in packages))
        log = self._home / "download.log"
        with log.open("w") as text:
            child = run.start(command, stdout=text, stderr=text, cwd=self._packages)
        try:
            while True:
                try:
                    child.wait(0.25)
                    break
                except subprocess.TimeoutExpired:
                    self._show(progress, packages, total)
        finally:
            child.terminate()
            child.wait()
        if child.returncode != 0:
            complaints = [x for x in log.read_text().splitlines() if x.startswith(("E:", "Err:"))]
            raise StepError("apt-get download failed:\n" + "\n".join(complaints))
        self._show(progress, packages, total)

    def _show(self, progress: Progress, packages: Sequence[Package], total: int) -> None:
        # apt writes a package straight to its final name, so the sizes show how far it is.
        paths = [self._packages / package.file for package in packages]
        sizes = [path.stat().st_size if path.exists() else 0 for path in paths]
        full = sum(size == package.size for size, package in zip(sizes, packages, strict=True))
        note = f"{full}/{len(packages)} packages, {sum(sizes) / 1e6:.0f}/{megabytes(total)}"
        progress.update(sum(sizes), note)


def _parse(line: str) -> Package:
    # 'ADDRESS' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:DIGEST
    _, file, size, digest = shlex.split(line)
    kind, _, value = digest.partition(":")
    if kind != "SHA256":
        raise StepError(f"the index gives no SHA256 for {file}, but '{kind}'")
    return Package(file.partition("_")[0], file, int(size), value)
