"""The tests run against what the build was told: the sources, or the installed wheel."""

import importlib.metadata
import os
import pathlib

import pytest
import stablekv

SUBJECT = os.environ.get("STABLEKV_TEST_SUBJECT")
pytestmark = pytest.mark.skipif(SUBJECT is None, reason="no build says what is tested")


def test_the_package_is_what_was_asked_for():
    if SUBJECT == "source":
        with pytest.raises(importlib.metadata.PackageNotFoundError):
            importlib.metadata.version("stablekv")
    else:
        installed = importlib.metadata.distribution("stablekv")
        init = installed.locate_file("stablekv/__init__.py")
        assert pathlib.Path(init).samefile(stablekv.__file__)
        assert installed.version == stablekv.__version__
