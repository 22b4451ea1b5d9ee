"""A pytest plugin that keeps every n-th case of each file, the first included."""

import os
from collections import Counter

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list) -> None:
    every = int(os.environ["STABLEKV_MATRIX_EVERY"])
    seen: Counter = Counter()
    kept, dropped = [], []
    for item in items:
        (dropped if seen[item.path] % every else kept).append(item)
        seen[item.path] += 1
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept
