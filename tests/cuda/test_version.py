"""The flag changes the nvcc that compiles, and nothing but the flag is needed for it."""

import ctypes
import os

import pytest


@pytest.mark.parametrize(
    ("library", "version"), [("STABLEKV_DEFAULT_LIBRARY", 1300), ("STABLEKV_NEWEST_LIBRARY", 1305)]
)
def test_the_release_that_was_asked_for_compiled_it(library, version):
    assert ctypes.CDLL(os.path.abspath(os.environ[library])).stablekv_cuda_version() == version
