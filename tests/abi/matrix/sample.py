"""A pytest plugin that keeps every n-th case of each file, but some of each file at least."""

import os
from collections import Counter

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list) -> None:
    every, least = (int(os.environ[f"STABLEKV_MATRIX_{name}"]) for name in ("EVERY", "LEAST"))
    cases = Counter(item.path for item in items)
    seen: Counter = Counter()
    kept, dropped = [], []
    for item in items:
        step = min(every, max(1, cases[item.path] // least))
        (dropped if seen[item.path] % step else kept).append(item)
        seen[item.path] += 1
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept
