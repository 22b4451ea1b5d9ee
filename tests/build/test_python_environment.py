"""A Python target sees the standard library, the locked packages it names, and nothing else."""

import importlib.util
import os
import sys

import pytest


def test_interpreter_is_an_empty_environment():
    assert sys.prefix != sys.base_prefix
    assert sys.version_info[:2] == (3, 11)


def test_no_site_packages_of_the_machine():
    runfiles = os.environ["RUNFILES_DIR"]
    standard = (os.path.join(sys.base_prefix, "lib"), sys.prefix)
    foreign = [
        path
        for path in sys.path
        if not path.startswith(runfiles) and (not path.startswith(standard) or "-packages" in path)
    ]
    assert foreign == []


def test_no_user_site():
    import site

    assert site.ENABLE_USER_SITE is False


# pip is on every machine that fetches packages, so it would be found if the machine leaked in.
@pytest.mark.parametrize("package", ["pip", "torch", "numpy"])
def test_package_that_is_no_dependency_is_not_there(package):
    assert importlib.util.find_spec(package) is None


def test_variables_that_change_what_is_imported_are_dropped():
    assert not [v for v in ("PYTHONHOME", "PYTHONSTARTUP") if v in os.environ]
    assert "/nowhere" not in sys.path


def test_other_variables_of_the_target_are_kept():
    # What 0 gives; without it, it is another number each time.
    assert os.environ["PYTHONHASHSEED"] == "0"
    assert sys.flags.hash_randomization == 0


def test_network_is_off():
    import socket

    with pytest.raises(OSError):
        socket.create_connection(("192.0.2.1", 80), timeout=2)
