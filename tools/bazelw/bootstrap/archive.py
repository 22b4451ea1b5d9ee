"""A private apt: its own lists, cache and (empty) package state, checked by Debian's signatures."""

import hashlib
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import run
from report import Progress, StepError, megabytes, say

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Package:
    """One package to fetch, as the signed index describes it."""

    file: str
    size: int
    sha256: str


class Archive:
    """One suite of the Debian mirror that this machine's own apt is configured with."""

    def __init__(self, home: Path) -> None:
        """`home`: a folder for lists and packages, kept between runs until all is done."""
        self._home = home
        self.packages = home / "packages"
        self._config = home / "apt.conf"
        for folder in (home / "lists/partial", home / "cache/archives/partial", self.packages):
            folder.mkdir(parents=True, exist_ok=True)
        (home / "status").write_text("")
        (home / "no.d").mkdir(exist_ok=True)
        self._config.write_text(_apt_config(home))

    def _apt(self, tool: str, *arguments: str) -> list[str]:
        return [tool, "-c", str(self._config), *arguments]

    def mirrors(self) -> list[str]:
        """The archive addresses in the machine's apt configuration; needs no fetched lists."""
        lists = self._home / "no-lists"
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        uris = run.output(
            ["apt-get", "-o", f"Dir::State::lists={lists}", "update", "--print-uris"],
            "reading the machine's apt configuration",
        )
        found = re.findall(r"^'(\S+?)/dists/([^/']+)/", uris, re.MULTILINE)
        return list(dict.fromkeys(site for site, suite in found if "security" not in suite))

    def select(self, mirror: str, suite: str) -> str | None:
        """Fetches the signed index of a suite; returns None, or apt's complaint."""
        option = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
        (self._home / "sources.list").write_text(f"deb {option}{mirror} {suite} main\n")
        try:
            run.output(
                self._apt("apt-get", "-o", "APT::Update::Error-Mode=any", "update"),
                "apt-get update",
            )
        except StepError as error:
            return str(error)
        return None

    def candidate(self, name: str) -> str | None:
        """The version of a package that would be installed, or None when there is none."""
        policy = run.output(self._apt("apt-cache", "policy", name), "apt-cache policy")
        match = re.search(r"Candidate: (\S+)", policy)
        return None if match is None or match[1] == "(none)" else match[1]

    def closure(self, names: list[str]) -> list[str]:
        """Every package that installing `names` on an empty system would bring, libc included."""
        plan = run.output(self._apt("apt-get", "-s", "install", *names), "working out the packages")
        return re.findall(r"^Inst (\S+)", plan, re.MULTILINE)

    def fetch(self, names: list[str]) -> list[Path]:
        """Downloads the packages that are not here yet and checks every one against the index."""
        listing = run.output(
            self._apt("apt-get", "download", "--print-uris", *names), "listing the packages"
        )
        wanted = [_parse_uri(line) for line in listing.splitlines() if line.startswith("'")]
        missing = {p.file: p for p in wanted if not self._is_here(p)}
        total = sum(p.size for p in wanted)
        say(
            f"fetching {len(missing)} of {len(wanted)} packages, "
            f"{megabytes(sum(p.size for p in missing.values()))}"
        )
        if missing:
            names_missing = [n for n, p in zip(names, wanted) if p.file in missing]
            self._download(names_missing, wanted, total)
        for package in wanted:
            if not self._is_here(package):
                raise StepError(f"{package.file} is not what the signed index promises")
        return [self.packages / p.file for p in wanted]

    def _is_here(self, package: Package) -> bool:
        path = self.packages / package.file
        if not path.is_file() or path.stat().st_size != package.size:
            return False
        with path.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest() == package.sha256

    def _download(self, names: list[str], wanted: list[Package], total: int) -> None:
        progress = Progress("download", total)
        command = self._apt("apt-get", "-o", "Acquire::Retries=3", "download", *names)
        log = self._home / "download.log"
        with log.open("w") as errors, run.start(
            command, stderr=errors, cwd=self.packages
        ) as child:
            assert child.stdout is not None
            for _ in child.stdout:
                here = [p for p in wanted if (self.packages / p.file).exists()]
                done = sum(p.size for p in here)
                progress.update(
                    done, f"{len(here)}/{len(wanted)} packages, {done / 1e6:.0f}/{megabytes(total)}"
                )
        if child.returncode != 0:
            raise StepError(f"apt-get download failed:\n{log.read_text().strip()}")


def _parse_uri(line: str) -> Package:
    _, file, size, digest = shlex.split(line)
    kind, _, value = digest.partition(":")
    if kind != "SHA256":
        raise StepError(f"the index gives no SHA256 for {file}, but {kind}")
    return Package(file, int(size), value)


def _apt_config(home: Path) -> str:
    # Read after the machine's own files (whose proxy settings stay): what they run after an
    # update, and every path they could write to, is replaced.
    cleared = ["APT::Update", "DPkg", "APT::Architectures", "APT::Default-Release", "Dir::State"]
    settings = {
        "Dir::State": home,
        "Dir::State::lists": home / "lists",
        "Dir::State::status": home / "status",
        "Dir::Cache": home / "cache",
        "Dir::Cache::pkgcache": home / "cache/pkgcache.bin",
        "Dir::Cache::srcpkgcache": home / "cache/srcpkgcache.bin",
        "Dir::Log": home,
        "Dir::Etc::sourcelist": home / "sources.list",
        "Dir::Etc::sourceparts": home / "no.d",
        "Dir::Etc::preferences": home / "no-preferences",
        "Dir::Etc::preferencesparts": home / "no.d",
        "APT::Architecture": run.output(["dpkg", "--print-architecture"], "dpkg").strip(),
        "APT::Sandbox::User": "" if os.getuid() else "root",
        "APT::Install-Recommends": "0",
        "APT::Get::AllowUnauthenticated": "0",
        "Acquire::AllowInsecureRepositories": "0",
        "Acquire::Languages": "none",
        "Acquire::Queue-Mode": "access",
    }
    lines = [f"#clear {name};" for name in cleared]
    lines += [f'{name} "{value}";' for name, value in settings.items()]
    return "\n".join(lines) + "\n"
