"""Programs started by //tools/gpu:alone do not run at the same time."""

import os
import signal
import subprocess

import pytest

_ALONE = os.environ["STABLEKV_ALONE"]


@pytest.fixture
def start(tmp_path):
    """Starts shell text with a file in place of the GPU's device node."""
    device = tmp_path / "nvidiactl"
    device.touch()
    environment = {**os.environ, "STABLEKV_GPU_DEVICE": str(device)}

    def start(text, *arguments, **options):
        return subprocess.Popen(
            [_ALONE, "bash", "-c", text, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start


def test_arguments_output_and_exit_code_are_the_program_s(start):
    program = start('printf "<%s>" "$0" "$@"; exit 7', "a b", "*")
    assert program.communicate()[0] == "<a b><*>"
    assert program.returncode == 7


def test_the_second_waits_for_the_first(start):
    first = start("echo started; read; echo ended")
    assert first.stdout.readline() == "started\n"
    second = start("echo second")
    # It says why nothing happens, and nothing happens.
    assert second.stderr.readline() == "waiting for the GPU: another test run has it\n"
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.5)
    first.communicate("go on\n")
    assert second.communicate()[0] == "second\n"


def test_a_killed_program_leaves_no_lock(start):
    first = start("echo started; read")
    first.stdout.readline()
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start("echo second")
    assert second.communicate(timeout=30) == ("second\n", "")


def test_without_a_gpu_the_reason_is_said(tmp_path):
    environment = {**os.environ, "STABLEKV_GPU_DEVICE": str(tmp_path / "none")}
    done = subprocess.run([_ALONE, "true"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"no GPU: {tmp_path}/none is not there" in done.stderr
