"""Links from one page to another: each leads somewhere, and the README leads to every page."""

import os
import pathlib
import re

import pytest

_PAGES = [pathlib.Path(path) for path in os.environ["STABLEKV_PAGES"].split()]
_README = pathlib.Path("README.md")


def _links(page: pathlib.Path) -> list[str]:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"\]\(([^()\s]+)\)", text)
    return [target for target in found if "://" not in target]


def _anchors(page: pathlib.Path) -> set[str]:
    """As forges make them: lower case, hyphens for spaces, no other signs."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", _PAGES, ids=str)
def test_links_lead_somewhere(page):
    for target in _links(page):
        path, _, anchor = target.partition("#")
        to = pathlib.Path(os.path.normpath(page.parent / path)) if path else page
        assert to.is_file(), f"{page}: {target}"
        assert not anchor or anchor in _anchors(to), f"{page}: {target}"


def test_the_readme_leads_to_every_page():
    linked = {target.partition("#")[0] for target in _links(_README)}
    pages = {str(page) for page in _PAGES if page.parts[0] == "docs"}
    assert len(pages) > 5 and pages <= linked


def test_every_configuration_is_described():
    rc = pathlib.Path(".bazelrc").read_text()
    described = pathlib.Path("docs/reference.md").read_text().partition("## Configurations")[2]
    names = set(re.findall(r"^(?:build|test):(\w+)", rc, re.MULTILINE))
    assert names and names <= set(re.findall(r"`(\w+)`", described))
