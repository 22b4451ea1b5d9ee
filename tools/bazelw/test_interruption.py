"""Stopped at any moment, or asked for twice at once, bazelw never leaves half a Bazel behind."""

import os
import signal
import time

import pytest

_STEPS = ["update", "download", "dpkg-deb", "bazel"]


def _wait_for(condition, child) -> None:
    while not condition():
        assert child.poll() is None, child.communicate()
        time.sleep(0.01)


def _running(session: int) -> list[str]:
    names = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            names.append(open(f"/proc/{pid}/cmdline").read())
    return names


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as listing:
        return [int(child) for child in listing.read().split()]


@pytest.mark.parametrize("step", _STEPS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted(machine, step, number):
    pause = machine.fake / f"pause-{step}"
    pause.touch()
    with machine.start("info") as child:
        _wait_for((machine.fake / f"paused-{step}").exists, child)
        # A terminal signals everyone, `kill` only the one.
        if number == signal.SIGINT:
            os.killpg(child.pid, number)
        else:
            [bootstrap] = _children(child.pid)
            os.kill(bootstrap, number)
        out, err = child.communicate(timeout=200)
    assert out == ""
    assert machine.prefixes() == []
    assert child.returncode == (137 if number == signal.SIGKILL else 130)
    if number != signal.SIGKILL:
        assert "bazelw: interrupted" in err
        assert "Traceback" not in err
    deadline = time.monotonic() + 60
    while _running(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _running(child.pid) == []

    pause.unlink()
    done = machine.run("info")
    assert done.returncode == 0
    assert done.stdout.startswith("[private]")
    left = {"update": "7 packages", "download": "5 packages"}.get(step, "0 packages")
    assert f"2/4 fetching {left}" in done.stderr
    assert sorted(p.name for p in machine.folder.iterdir()) == [machine.prefixes()[0].name, "lock"]


def test_two_at_once_make_one(machine):
    pause = machine.fake / "pause-download"
    pause.touch()
    with machine.start("first") as first:
        _wait_for((machine.fake / "paused-download").exists, first)
        with machine.start("second") as second:
            assert second.stderr is not None
            line = second.stderr.readline()
            assert line == "bazelw: another bazelw is making the private Bazel: waiting for it\n"
            # The one that works is stopped: the one that waits takes over where it was.
            pause.unlink()
            os.killpg(first.pid, signal.SIGINT)
            assert first.wait(200) == 130
            out, err = second.communicate(timeout=200)
    assert second.returncode == 0
    assert out.endswith("[second]")
    assert "2/4 fetching 5 packages" in err


def test_one_that_waited_makes_nothing(machine):
    starters = [machine.start(str(number)) for number in range(4)]
    ends = [(*child.communicate(timeout=200), child.returncode) for child in starters]
    assert [code for _, _, code in ends] == [0] * 4
    assert [out[-3:] for out, _, _ in ends] == ["[0]", "[1]", "[2]", "[3]"]
    assert sum("4/4 " in err for _, err, _ in ends) == 1
    assert len([c for c in machine.calls("bazel") if "info release" in c]) == 1
