"""The snippets of docs/bazel.md are parts of the workspaces that //tests/consumer builds."""

import os
import pathlib
import re
import tarfile

import pytest

_TEXT = pathlib.Path(os.environ["STABLEKV_BAZEL_DOC"]).read_text()
_SNIPPETS = re.findall(r"<!-- (\S+) -->\n```\S*\n(.*?)```", _TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def sources():
    with tarfile.open(os.environ["STABLEKV_SOURCES"]) as tar:
        yield tar


@pytest.mark.parametrize(("path", "snippet"), _SNIPPETS)
def test_snippet(sources, path, snippet):
    assert snippet in sources.extractfile(path).read().decode()


def test_no_code_is_without_a_source():
    assert len(_SNIPPETS) == _TEXT.count("```") / 2


def test_every_workspace_is_named(sources):
    named = {f"tests/consumer/{name}" for name in re.findall(r"tests/consumer/(\w+)", _TEXT)}
    there = {
        os.path.dirname(name)
        for name in sources.getnames()
        if re.fullmatch(r"tests/consumer/\w+/(WORKSPACE|MODULE.bazel)", name)
    }
    assert there and there <= named
