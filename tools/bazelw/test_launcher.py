"""Which Bazel bazelw starts, and that it is started as if called directly."""

import os
import signal
import subprocess
import time

import fake_debian
import pytest


@pytest.mark.parametrize("version", ["7.1.0", "7.4.1", "7.10.0"])
def test_takes_bazel_7_from_path(machine, version):
    machine.add("bazel", version)
    done = machine.run("build", "two words", "", "--x=*")
    assert done.stdout == "[bazel][build][two words][][--x=*][use=7.7.1]"
    assert (done.returncode, done.stderr) == (0, "")
    assert not machine.cache.exists()


def test_passes_the_exit_code(machine):
    machine.add("bazel", "7.7.1")
    assert machine.run("test", FAKE_EXIT="3").returncode == 3


def test_passes_standard_input(machine):
    machine.add("bazel", "7.7.1")
    with machine.start("cat", stdin=subprocess.PIPE) as child:
        out, _ = child.communicate("from stdin\n", timeout=200)
    assert out.endswith("from stdin\n")


def test_becomes_bazel_so_that_signals_reach_it(machine):
    machine.add("bazel", "7.7.1")
    with machine.start("wait") as child:
        while not (machine.fake / "up").exists():
            assert child.poll() is None
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(200) == 8


def test_keeps_the_current_folder(machine):
    machine.add("bazel", "7.7.1")
    below = machine.repo / "a b"
    below.mkdir()
    with machine.start("build", cwd=below) as child:
        child.communicate(timeout=200)
    assert (machine.fake / "pwd").read_text() == f"{below}\n"


def test_takes_bazelisk_when_there_is_no_bazel(machine):
    machine.add("bazelisk", "7.7.1")
    assert machine.run("info").stdout == "[bazelisk][info][use=7.7.1]"


def test_leaves_the_version_to_a_user_who_names_one(machine):
    machine.add("bazelisk", "7.1.0")
    assert "[use=7.1.0]" in machine.run("info", USE_BAZEL_VERSION="7.1.0").stdout


@pytest.mark.parametrize("version", ["6.5.0", "7.0.2", "8.0.0", "17.0.0", "no_version", ""])
def test_passes_over_other_versions(machine, version):
    (machine.bin / "python3.11").unlink()  # so that it ends here, and soon
    program = machine.add("bazel", version)
    done = machine.run("info")
    assert (done.returncode, done.stdout) == (36, "")
    assert done.stderr.splitlines() == [
        f"bazelw: not using {program}: its --version says 'bazel {version}', "
        "wanted 7.1 or a later 7.x",
        "bazelw: python3.11 is not on PATH",
    ]


def test_passes_over_a_bazel_8_for_a_bazelisk(machine):
    machine.add("bazel", "8.0.0")
    machine.add("bazelisk", "7.7.1")
    done = machine.run("info")
    assert done.stdout == "[bazelisk][info][use=7.7.1]"
    assert done.stderr.count("\n") == 1


def test_passes_over_a_bazel_that_fails(machine):
    program = machine.bin / "bazelisk"
    program.write_text("#!/usr/bin/env bash\necho no network >&2\nexit 1\n")
    program.chmod(0o755)
    done = machine.run("info")
    assert done.stdout.startswith("[private]")
    assert f"not using {program}: its --version says 'exit code 1'" in done.stderr
    assert "no network" in done.stderr


def test_does_not_take_itself_for_bazel(machine):
    (machine.bin / "bazel").symlink_to(machine.repo / "bazelw")
    assert machine.run("info").stdout.startswith("[private]")


@pytest.mark.parametrize("name", ["other bazel", "other"])
def test_a_forced_bazel_is_asked_nothing(machine, name):
    machine.add("bazel", "7.7.1")
    program = machine.add(name.replace(" ", ""), "6.0.0")
    program = program.rename(machine.bin / name)
    forced = str(program) if " " in name else name
    assert machine.run("info", STABLEKV_BAZEL=forced).stdout.startswith("[other")


def test_a_forced_bazel_must_exist(machine):
    machine.add("bazel", "7.7.1")
    done = machine.run("info", STABLEKV_BAZEL="/no/such/bazel")
    assert done.returncode == 36
    assert done.stderr == "bazelw: STABLEKV_BAZEL=/no/such/bazel is not a program\n"
    assert not machine.cache.exists()


def test_the_private_one_can_be_forced(machine):
    machine.add("bazel", "7.7.1")
    assert machine.run("info", STABLEKV_BAZEL="private").stdout.startswith("[private]")


def test_says_the_private_version(machine):
    assert machine.run("--version").stdout == "bazel 7.7.1\n"
    assert machine.run("version").stdout == "bazel 7.7.1\n"


def test_passes_arguments_and_exit_code_to_the_private_one(machine):
    done = machine.run("run", "two words", "", FAKE_EXIT="7")
    [prefix] = machine.prefixes()
    rc = f"[private][--nosystem_rc][--bazelrc={prefix}/bazelrc]"
    assert done.stdout == f"{rc}[run][two words][]"
    assert done.returncode == 7


def test_needs_a_home_or_a_cache(machine):
    del machine.environment["XDG_CACHE_HOME"], machine.environment["HOME"]
    done = machine.run("info")
    assert done.returncode != 0
    assert "HOME is not set" in done.stderr


def test_a_relative_cache_folder_is_not_one(machine):
    machine.run("info", XDG_CACHE_HOME="relative")
    assert not (machine.repo / "relative").exists()
    assert list((machine.fake.parent / "home/.cache/stablekv/bazel").glob("*/ready"))


def test_needs_python(machine):
    (machine.bin / "python3.11").unlink()
    done = machine.run("info")
    assert (done.returncode, done.stderr) == (36, "bazelw: python3.11 is not on PATH\n")


def test_variables_of_the_compiler_are_dropped(machine):
    text = '#!/bin/sh\nif [ "$1" = --version ]; then echo bazel 7.7.1; else env; fi\n'
    fake_debian.write_script(machine.bin / "bazel", text)
    names = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH")
    done = machine.run("info", **dict.fromkeys(names, "/somewhere"), CC="gcc-14")
    assert "CC=gcc-14\n" in done.stdout
    assert "/somewhere" not in done.stdout
