"""What the proof reads from Bazel's own reports, and that it can fail."""

import json
import os
import pathlib
import subprocess
import sys

import build
import poison
import prove
import pytest


def _graph(*actions):
    return build.Actions(
        {
            "actions": [
                {
                    "mnemonic": mnemonic,
                    "actionKey": key,
                    "arguments": list(arguments),
                    "environmentVariables": [{"key": "PATH", "value": "/usr/bin:/bin"}],
                }
                for mnemonic, key, *arguments in actions
            ]
        }
    )


def test_the_same_actions_are_the_same():
    prove.compare_actions(_graph(("A", "1"), ("B", "2")), _graph(("B", "2"), ("A", "1")))


def test_trees_of_links_are_bazels_own():
    links = _graph(("A", "1"), ("SymlinkTree", "2"), ("SourceSymlinkManifest", "3"))
    prove.compare_actions(_graph(("A", "1")), links)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ((("A", "1"), ("B", "3")), "1 of 2 actions differ: B"),
        ((("A", "1"),), "1 of 2 actions differ: B"),
        ((("A", "1"), ("A", "1"), ("B", "2")), "0 of 2 actions differ: A"),
    ],
)
def test_other_actions_are_not(other, words):
    with pytest.raises(build.ProofError, match=words):
        prove.compare_actions(_graph(("A", "1"), ("B", "2")), _graph(*other))


def test_no_actions_prove_nothing():
    with pytest.raises(build.ProofError, match="no actions"):
        prove.compare_actions(_graph(), _graph())


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("/home/me/x.h", True),
        ("-I/home/me", True),
        ("-L/opt/lib", True),
        ("--root=/opt/x", True),
        ("-fprefix-map=a=/opt/x", True),
        ("/usr/bin:/opt/bin", True),
        ("/usrx/include", True),
        ("/usr/include/stdio.h", False),
        ("external/a/usr/x", False),
        ("-Ibazel-out/bin", False),
        ("s,^bazel-out/[^/]*/bin/,,", False),
    ],
)
def test_a_place_of_the_machine_is_found(argument, found):
    paths = _graph(("A", "1", argument)).absolute_paths(("/usr", "/bin"))
    assert bool(paths) == found, paths


def _events(path, files, runners):
    lines = [
        {"namedSetOfFiles": {"files": [{"name": n, "pathPrefix": ["out"], "digest": d}]}}
        for n, d in files.items()
    ]
    counts = [{"name": name, "count": n} for name, n in runners.items()]
    lines.append({"buildMetrics": {"actionSummary": {"runnerCount": counts}}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return build.read_events(path)


def test_events_say_what_ran_and_what_came_out(tmp_path):
    runners = {"total": 9, "internal": 2, "disk cache hit": 4, "linux-sandbox": 3}
    done = _events(tmp_path / "events", {"a.so": "1"}, runners)
    assert (done.executed, done.hits) == (3, 4)
    assert done.outputs == {"out/a.so": "1"}


def test_outputs_are_compared_by_digest(tmp_path):
    one = build.Build({"a.so": "1", "b.so": "2", "x/testlogs/t/test.log": "3"}, {})
    same = build.Build({"a.so": "1", "b.so": "2", "x/testlogs/t/test.log": "4"}, {})
    assert prove.compare_outputs(one, same) == 2
    for other in ({"a.so": "1", "b.so": "3"}, {"a.so": "1"}, {}):
        with pytest.raises(build.ProofError, match=r"outputs differ: .*b\.so"):
            prove.compare_outputs(one, build.Build(other, {}))
    with pytest.raises(build.ProofError, match="no outputs"):
        prove.compare_outputs(build.Build({}, {}), build.Build({}, {}))


def test_the_poison_tells_who_took_it(tmp_path):
    variables = poison.plant(tmp_path / "poison", tmp_path / "home")
    assert poison.marks(tmp_path / "poison") == []
    environment = {**os.environ, **variables}
    assert subprocess.run(["nvcc"], env=environment, capture_output=True).returncode == 97
    importing = [sys.executable, "-c", "import torch"]
    assert subprocess.run(importing, env=environment, capture_output=True).returncode != 0
    assert poison.marks(tmp_path / "poison") == ["nvcc", "python"]


def test_without_a_network_there_is_none():
    program = pathlib.Path(build.__file__).with_name("no_network.py")
    done = subprocess.run(
        [sys.executable, program, "cat", "/proc/net/dev"], capture_output=True, text=True
    )
    if "unshare" in done.stderr:
        pytest.skip(f"this sandbox allows no network namespace: {done.stderr.splitlines()[-1]}")
    # Two lines of heading, then a line an interface; no card, whatever the kernel always has.
    names = {line.partition(":")[0].strip() for line in done.stdout.splitlines()[2:]}
    assert "lo" in names
    assert not [name for name in names if name.startswith(("e", "w"))], names
