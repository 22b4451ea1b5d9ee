"""What the tests of bazelw share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fake_debian
import pytest


@pytest.fixture
def machine() -> Iterator[fake_debian.Machine]:
    """A machine with Debian's tools and no Bazel."""
    root = Path(tempfile.mkdtemp(dir=fake_debian.test_root()))
    yield fake_debian.Machine(root, Path(__file__).parents[2])
    shutil.rmtree(root)
