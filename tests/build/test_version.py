"""The version is written down twice: for Python, and for who depends on the Bazel module."""

import os
import pathlib
import re


def test_both_are_the_same():
    names = ("STABLEKV_MODULE", "STABLEKV_VERSION")
    module, package = (pathlib.Path(os.environ[name]).read_text() for name in names)
    (in_module,) = re.findall(r'^    version = "(.*)",$', module, re.MULTILINE)
    (in_package,) = re.findall(r'^__version__ = "(.*)"$', package, re.MULTILINE)
    assert in_module == in_package
