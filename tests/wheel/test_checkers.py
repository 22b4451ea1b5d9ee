"""auditwheel and check-wheel-contents, which others check wheels with, find nothing."""

import subprocess
import sys

import pytest
from auditwheel.wheel_abi import analyze_wheel_abi
from auditwheel.wheeltools import get_wheel_architecture, get_wheel_libc
from packaging.utils import parse_wheel_filename

from tests.wheel import archive

WHEEL = archive.find()
(TAG,) = parse_wheel_filename(WHEEL.name)[3]


def audit(wheel, *, without=("libtorch.so",)):
    """As `auditwheel show`; the libraries in `without` come with torch."""
    return analyze_wheel_abi(
        get_wheel_libc(wheel.name),
        get_wheel_architecture(wheel.name),
        wheel,
        frozenset(without),
        disable_isa_ext_check=False,
        allow_graft=False,
    )


def test_auditwheel_computes_the_same_tag():
    found = audit(WHEEL)
    assert found.overall_policy.name == TAG.platform
    assert found.sym_policy.name == TAG.platform
    assert found.machine_policy != found.policies.linux  # no instructions that old machines lack


def test_torch_is_all_that_it_needs_from_elsewhere():
    found = audit(WHEEL, without=())
    assert set(found.external_refs[TAG.platform].libs) == {"libtorch.so"}


def check_contents(wheel):
    return subprocess.run(
        [sys.executable, "-m", "check_wheel_contents", "--no-config", str(wheel)],
        capture_output=True,
        text=True,
    )


def test_check_wheel_contents_finds_nothing():
    done = check_contents(WHEEL)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{WHEEL}: OK\n"


@pytest.mark.parametrize(
    ("stray", "check"), [("stablekv/left_over.pyc", "W001"), ("tests/test_it.py", "W005")]
)
def test_check_wheel_contents_sees_a_stray_file(tmp_path, stray, check):
    for command in (["unpack", "--dest=.", str(WHEEL.absolute())], ["pack", "--dest=."]):
        if command[0] == "pack":
            (folder,) = tmp_path.iterdir()
            (folder / stray).parent.mkdir(exist_ok=True)
            (folder / stray).write_text("# one line\n")
            command.append(folder.name)
        subprocess.run([sys.executable, "-m", "wheel", *command], cwd=tmp_path, check=True)
    (spoilt,) = tmp_path.glob("*.whl")
    done = check_contents(spoilt)
    assert done.returncode != 0
    assert f"{check}: " in done.stdout
