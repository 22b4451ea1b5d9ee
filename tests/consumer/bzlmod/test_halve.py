"""pytest comes with stablekv, by whatever name this module has for its packages."""

import pytest


@pytest.mark.parametrize(("value", "half"), [(4, 2), (-3, -1.5)])
def test_halve(value, half):
    assert value / 2 == half
