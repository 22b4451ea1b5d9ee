"""The configuration of a private apt that writes to one folder of the user's and nowhere else."""

import re
from pathlib import Path

import run
from report import StepError

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_TRUSTED = Path("/etc/apt/trusted.gpg.d")


def write(home: Path) -> Path:
    """Lays out `home` (lists, cache, an empty package state) and returns its configuration."""
    folders = ("lists/partial", "no-lists/partial", "cache/archives/partial", "packages", "no.d")
    for folder in folders:
        (home / folder).mkdir(parents=True, exist_ok=True)
    # No package counts as installed: apt then names all that Bazel needs, the C library included.
    (home / "status").write_text("")
    # Read after the machine's own files (whose proxy settings stay): the commands they run after
    # an update, and every path they could write to, are replaced.
    cleared = ["APT::Update", "APT::Architectures", "APT::Default-Release", "DPkg", "Dir::State"]
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
        # The folder is the user's: apt's own user could not write there.
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": 0,
        "APT::Get::AllowUnauthenticated": 0,
        "Acquire::AllowInsecureRepositories": 0,
        "Acquire::AllowWeakRepositories": 0,
        "Acquire::AllowDowngradeToInsecureRepositories": 0,
        "Acquire::Languages": "none",
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 20,
        "Acquire::https::Timeout": 20,
    }
    lines = [f"#clear {name};" for name in cleared]
    lines += [f'{name} "{value}";' for name, value in settings.items()]
    config = home / "apt.conf"
    config.write_text("\n".join(lines) + "\n")
    return config


def source_line(mirror: str, suite: str) -> str:
    """The line of sources.list for a suite, to be checked against Debian's own keys."""
    if _KEYRING.exists():
        return f"deb [signed-by={_KEYRING}] {mirror} {suite} main\n"
    if any(_TRUSTED.glob("debian-archive-*")):
        return f"deb {mirror} {suite} main\n"
    raise StepError(
        f"Debian's keys are not here ({_KEYRING}), so no package can be checked;\n"
        "they are in the package debian-archive-keyring"
    )


def mirrors(home: Path) -> list[str]:
    """The Debian mirrors that the machine's apt is configured with; needs no fetched lists."""
    uris = run.output(
        ["apt-get", "-o", f"Dir::State::lists={home / 'no-lists'}", "update", "--print-uris"],
        "reading the machine's apt configuration",
    )
    found = re.findall(r"^'(\S+?)/?/dists/([^/']+)/", uris, re.MULTILINE)
    sites = list(dict.fromkeys(site for site, suite in found if "security" not in suite))
    if not sites:
        raise StepError("apt is configured with no Debian mirror (nothing in /etc/apt names one)")
    # A machine may list other archives too: the one that looks like Debian's comes first.
    return sorted(sites, key=lambda site: not site.endswith("/debian"))
