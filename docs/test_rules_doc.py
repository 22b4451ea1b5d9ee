"""docs/rules.md is what the rules' doc strings say, and none of them is missing."""

import os
import pathlib

import pytest

from docs import render_rules

_ENTRY = r"""
func_info { function_name: "f" doc_string: "Does | this.\n\nAnd \303\244." parameter {
  name: "a" doc_string: "an \"a\"" mandatory: true } }
module_docstring: "M." file: "@@//tools/x:defs.bzl"
"""


def test_up_to_date():
    text, wanted = (
        pathlib.Path(os.environ[name]).read_text()
        for name in ("STABLEKV_RULES", "STABLEKV_RULES_RENDERED")
    )
    assert text == wanted, "docs/rules.md is stale: ./bazelw run //docs:update_rules"


def test_render():
    lines = render_rules.render(render_rules.parse(_ENTRY))
    assert lines[0] == "## `@stablekv//tools/x:defs.bzl`"
    assert "### f (macro)" in lines
    assert "Does | this.\n\nAnd ä." in lines
    assert '| `a` | mandatory | an "a" |' in lines


@pytest.mark.parametrize(
    ("provider", "nameless"),
    [
        ('provider_name: "P"', "provider P"),
        ('provider_name: "P" doc_string: "D." field_info { name: "f" }', "provider P: f"),
    ],
)
def test_a_missing_doc_string_is_refused(provider, nameless):
    module = render_rules.parse("provider_info {" + provider + '} file: "@@//x:d.bzl"')
    with pytest.raises(SystemExit, match=f"{nameless} has no doc string"):
        render_rules.render(module)
