"""The snippets of docs/bazel.md are parts of the workspaces that //tests/consumer builds."""

import json
import os
import pathlib
import re
import tarfile

import pytest

_TEXT = pathlib.Path(os.environ["STABLEKV_BAZEL_DOC"]).read_text()
_KERNELS = re.findall(r"^\| `(\w+)`.* \| `(\S+)` \| `//(\S+)` \|$", _TEXT, re.MULTILINE)
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


def test_every_operator_has_its_kernel(sources):
    ledger = json.load(sources.extractfile("csrc/abi_ledger.json"))
    operators = {name.split(".")[0] for name in ledger["_C_stable_libtorch"]["operators"]}
    assert {operator for operator, _, _ in _KERNELS} == operators


@pytest.mark.parametrize("header, target", {row[1:] for row in _KERNELS})
def test_kernel(sources, header, target):
    package, name = target.split(":")
    assert header == f"{package}/{name}.h"
    assert header in sources.getnames()
    for place in (package, f"{package}/cuda"):
        build = sources.extractfile(f"{place}/BUILD.bazel").read().decode()
        assert re.search(rf'name = "{name}(_cuda)?"', build)
