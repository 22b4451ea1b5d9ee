"""A checkout of its own, its builds, and what Bazel says about them."""

import collections
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

_HERE = pathlib.Path(__file__).resolve().parent
ROOT = _HERE.parents[1]


class ProofError(Exception):
    """A build failed, or is not what was to be shown."""


@dataclasses.dataclass(frozen=True)
class Build:
    """One build: digests of outputs by path, and how many actions ran where."""

    outputs: dict[str, str]
    runners: dict[str, int]

    @property
    def executed(self) -> int:
        """Actions that ran, and were neither found in a cache nor done by Bazel itself."""
        return sum(n for name, n in self.runners.items() if name not in ("internal", *_HITS))

    @property
    def hits(self) -> int:
        return sum(self.runners.get(name, 0) for name in _HITS)


# Bazel's own trees of links to a checkout's files: they name it, they run nothing, and they are
# neither cached nor done elsewhere.
_LINKING = ("SourceSymlinkManifest", "SymlinkTree")
_HITS = ("disk cache hit", "remote cache hit")


def read_events(path: pathlib.Path) -> Build:
    """Reads Bazel's build events (one JSON object a line) of one build."""
    outputs, runners = {}, {}
    for line in path.read_text().splitlines():
        event = json.loads(line)
        for file in event.get("namedSetOfFiles", {}).get("files", []):
            name = "/".join([*file.get("pathPrefix", []), file["name"]])
            outputs[name] = file.get("digest", "")
        for runner in event.get("buildMetrics", {}).get("actionSummary", {}).get("runnerCount", []):
            if runner["name"] != "total":
                runners[runner["name"]] = int(runner.get("count", 0))
    return Build(outputs, runners)


class Checkout:
    """A copy of the files that git knows or would, with a home and an output root of its own."""

    def __init__(
        self, folder: pathlib.Path, bazel: pathlib.Path, variables: dict[str, str], network: bool
    ) -> None:
        """`bazel`: where the private Bazel is, or will be; `variables`: of its environment."""
        self.folder = folder / "checkout"
        self.home = folder / "home"
        self._root = folder / "root"
        self._network = network
        self._events = folder / "events.json"
        self.home.mkdir(parents=True, exist_ok=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.folder / name)
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(bazel),
            "STABLEKV_BAZEL": "private",
            **variables,
        }

    def _run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess:
        # No server: what one command has started cannot help the next.
        command = ["./bazelw", "--batch", f"--output_user_root={self._root}", *arguments]
        if not self._network:
            command = [sys.executable, "-I", str(_HERE / "no_network.py"), *command]
        done = subprocess.run(command, cwd=self.folder, env=self._environment, **options)
        if done.returncode:
            raise ProofError(f"{self.folder}: bazelw {arguments[0]}: exit code {done.returncode}")
        return done

    def test(self, targets: list[str], *options: str) -> Build:
        """Builds `targets`, runs those that are tests, and says what happened."""
        events = f"--build_event_json_file={self._events}"
        self._run("test", "--noshow_progress", events, *options, "--", *targets)
        return read_events(self._events)

    def actions(self, targets: list[str]) -> "Actions":
        """The actions of `targets` and of all below them."""
        query = f"deps(set({' '.join(targets)}))"
        done = self._run("aquery", "--output=jsonproto", query, stdout=subprocess.PIPE)
        return Actions(json.loads(done.stdout))


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


class Actions:
    """What `bazel aquery` tells of actions."""

    def __init__(self, graph: dict) -> None:
        self._graph = graph

    def keys(self) -> collections.Counter:
        """Counts (mnemonic, key); a key covers command line, environment and declared outputs."""
        return collections.Counter(
            (action["mnemonic"], action.get("actionKey", ""))
            for action in self._graph["actions"]
            if action["mnemonic"] not in _LINKING
        )

    def absolute_paths(self, allowed: tuple[str, ...]) -> list[str]:
        """Arguments and variables that name a place of this machine, but for the allowed ones."""
        found = set()
        for action in self._graph["actions"]:
            texts = list(action.get("arguments", []))
            texts += [pair.get("value", "") for pair in action.get("environmentVariables", [])]
            for text in texts:
                # `-I/x`, `--a=/x`, `/x:/y`: a path begins at the start or behind such a mark.
                for part in text.replace("=", "\n").replace(":", "\n").split():
                    path = part[part.find("/") :] if part.startswith(("-", "/")) else ""
                    rooted = part.startswith("/") or part[:2] in ("-I", "-L", "-B")
                    if rooted and path.startswith("/") and not _is_below(path, allowed):
                        found.add(f"{action['mnemonic']}: {part}")
        return sorted(found)
