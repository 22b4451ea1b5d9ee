"""What the check of doc strings finds in Starlark."""

import pytest

from tools.lint.starlark_docs import undocumented

GOOD = """
load(":other.bzl", "OtherInfo")

OneInfo = provider(doc = "One.", fields = {"one": "The first."})
TwoInfo = provider("Two.", fields = {"two": "The second."})

def _implementation(ctx):
    return [OneInfo(one = ctx.attr.name)] + [ctx.attr.words(1)]

a_rule = rule(
    implementation = _implementation,
    doc = "Does it.",
    attrs = {"words": attr.string_list(doc = "Some.")},
)
"""


def test_all_is_documented():
    assert undocumented(GOOD) == []


@pytest.mark.parametrize(
    ("documented", "bare", "found"),
    [
        ('attr.string_list(doc = "Some.")', "attr.string_list()", "attr.string_list"),
        ('    doc = "Does it.",\n', "", "rule"),
        ('doc = "One.", ', "", "provider"),
        ('provider("Two.", ', "provider(", "provider"),
        ('{"two": "The second."}', '["two"]', "fields of a provider"),
        ("a_rule = rule(", "a_rule = repository_rule(", ""),
    ],
)
def test_what_is_not_is_named_with_its_line(documented, bare, found):
    assert documented in GOOD
    problems = undocumented(GOOD.replace(documented, bare))
    assert [problem.partition(": ")[2] for problem in problems] == (
        [f"{found} without a doc string"] if found else []
    )
    for problem in problems:
        line = GOOD.splitlines()[int(problem.partition(":")[0]) - 1]
        assert found.split()[-1] in line or "rule" in line
