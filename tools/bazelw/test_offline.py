"""A private Bazel of packages that another machine has saved."""

import json
import subprocess
import sys

import fake_debian
import pytest


@pytest.fixture
def folder(machine):
    """A folder that was filled; its packages have then gone from the mirror."""
    path = machine.cache.parent / "my folder"
    (path / "wheels").mkdir(parents=True)
    command = [sys.executable, "-B", machine.repo / "tools/bazelw/bootstrap/main.py"]
    command += ["--version", "7.7.1", "--save", path / "bazel"]
    done = subprocess.run(command, env=machine.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for tool in ("apt-get", "apt-cache", "dpkg"):
        (machine.bin / tool).unlink()
    return path


def _refused(machine, folder):
    done = machine.run("info", STABLEKV_OFFLINE=str(folder))
    assert done.returncode == 36
    assert machine.prefixes() == []
    return done.stderr


def test_saving_keeps_the_packages_and_nothing_else(folder):
    listing = json.loads((folder / "bazel/packages.json").read_text())
    assert listing["bazel"] == "7.7.1+ds-8 in Debian forky"
    assert sorted(path.name for path in (folder / "bazel").iterdir()) == sorted(
        ["lock", "packages.json", *listing["packages"]]
    )
    assert "bazel-bootstrap_1_all.deb" in listing["packages"]
    assert "gcc-16_1_all.deb" not in listing["packages"]


def test_a_bazel_is_made_without_apt(machine, folder):
    done = machine.run("info", STABLEKV_OFFLINE=str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[private]")
    assert f"found Bazel 7.7.1+ds-8 in Debian forky in {folder}/bazel" in done.stderr
    assert len(machine.prefixes()) == 1


def test_a_package_that_was_changed_on_the_way_is_refused(machine, folder):
    (folder / "bazel/libc6_1_all.deb").write_bytes(b"other")
    assert "libc6_1_all.deb is missing or not as it was saved" in _refused(machine, folder)


def test_a_package_that_was_lost_on_the_way_is_refused(machine, folder):
    (folder / "bazel/libc6_1_all.deb").unlink()
    assert "libc6_1_all.deb is missing or not as it was saved" in _refused(machine, folder)


def test_another_major_version_is_refused(machine, folder):
    listing = folder / "bazel/packages.json"
    listing.write_text(listing.read_text().replace("7.7.1", "8.4.2"))
    assert "holds Bazel 8.4.2+ds-8 in Debian forky, wanted 7.x" in _refused(machine, folder)


def test_a_folder_that_was_never_filled_is_refused(machine, tmp_path):
    assert "has no wheels: fill it with tools/offline/fill.py" in _refused(machine, tmp_path)
    (tmp_path / "wheels").mkdir()
    assert "has no packages.json: fill the folder with" in _refused(machine, tmp_path)


def test_bazel_takes_the_wheels_from_there(machine, folder):
    text = '#!/bin/sh\nif [ "$1" = --version ]; then echo bazel 7.7.1; else env; fi\n'
    fake_debian.write_script(machine.bin / "bazel", text)
    done = machine.run("info", STABLEKV_OFFLINE=str(folder))
    assert f"STABLEKV_WHEELHOUSE={folder}/wheels\n" in done.stdout
    assert "STABLEKV_WHEELHOUSE" not in machine.run("info").stdout
