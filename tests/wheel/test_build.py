"""The program that packs the wheel: the same bytes wherever it runs, and words when it cannot."""

import json
import os
import pathlib
import random
import shutil
import subprocess

import pytest

from tests.wheel import archive

BUILD = pathlib.Path(os.environ["STABLEKV_BUILD"]).absolute()
WHEEL = archive.find()
SOURCES = [pathlib.Path(path) for path in os.environ["STABLEKV_FILES"].split()]
REVISION = "0123456789" * 4


def place(path):
    return "/".join(path.parts[path.parts.index("stablekv") :])


def build(folder, *more, seed=0, umask=0o022, version="_version.py"):
    """Runs the program in `folder` on copies of the files; their times, modes and order vary."""
    chance = random.Random(seed)
    files = []
    for source in chance.sample(SOURCES, len(SOURCES)):
        copy = folder / "in" / place(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        copy.chmod(chance.choice([0o444, 0o644, 0o755]))
        os.utime(copy, (chance.randrange(2**31), chance.randrange(2**31)))
        files.append(f"--file={place(source)}={copy.relative_to(folder)}")
    for name, text in (("README.md", "# A description\n"), ("LICENSE", "Free\n")):
        (folder / name).write_text(text)
    return subprocess.run(
        [
            BUILD,
            "--name=stablekv",
            f"--version_file=in/stablekv/{version}",
            "--summary=Words",
            "--readme=README.md",
            "--license=LICENSE",
            "--license_id=Apache-2.0",
            "--requires_python=>=3.10",
            "--requires=torch>=2.10",
            "--output=out",
            *files,
            *more,
        ],
        cwd=folder,
        umask=umask,
        capture_output=True,
        text=True,
    )


def built(folder, *more, **how):
    folder.mkdir(parents=True)
    done = build(folder, *more, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "out").iterdir()
    return wheel


def test_same_files_same_bytes(tmp_path):
    first = built(tmp_path / "a", seed=1)
    second = built(tmp_path / "a folder" / "somewhere else", seed=2, umask=0o077)
    assert first.name == second.name == WHEEL.name
    assert first.read_bytes() == second.read_bytes()


def test_a_revision_is_recorded_when_asked_for(tmp_path):
    status = tmp_path / "status.txt"
    status.write_text(f"BUILD_HOST h\nSTABLE_GIT_DIRTY yes\nSTABLE_GIT_REVISION {REVISION}\n")
    options = [f"--status={status}", "--revision_place=stablekv/_revision.json"]
    wheel = built(tmp_path / "a", *options)
    record = archive.contents(wheel)["stablekv/_revision.json"]
    assert json.loads(record) == {"revision": REVISION, "dirty": True}
    status.write_text(f"BUILD_HOST other\nSTABLE_GIT_DIRTY yes\nSTABLE_GIT_REVISION {REVISION}\n")
    assert built(tmp_path / "b", *options).read_bytes() == wheel.read_bytes()


def test_a_status_without_the_revision_is_refused(tmp_path):
    status = tmp_path / "status.txt"
    status.write_text("BUILD_HOST h\n")
    done = build(tmp_path, f"--status={status}", "--revision_place=stablekv/_revision.json")
    assert done.returncode != 0
    assert "has no 'STABLE_GIT_REVISION'" in done.stderr
    assert "--workspace_status_command=tools/wheel/workspace_status.sh" in done.stderr


def test_a_file_without_a_version_is_refused(tmp_path):
    done = build(tmp_path, version="layouts.py")
    assert done.returncode != 0
    assert 'layouts.py: no line `__version__ = "..."`' in done.stderr


@pytest.mark.parametrize(
    ("option", "words"),
    [("--requires=torch >> 2", "requires_dist"), ("--requires_python=old", "requires_python")],
)
def test_metadata_that_pip_could_not_read_is_refused(tmp_path, option, words):
    done = build(tmp_path, option)
    assert done.returncode != 0
    assert words in done.stderr.replace("-", "_")
