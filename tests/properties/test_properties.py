"""Drawn calls of every operator in drawn memory, compared with the reference to the last byte."""

import pytest

pytest.importorskip("hypothesis", reason="hypothesis is not installed, nothing can be drawn")

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.properties.calls import CALLS
from tests.properties.memory import moved
from tests.support.devices import each_device
from tests.support.operators import OPERATORS


@each_device
@pytest.mark.parametrize("name", CALLS)
@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
@given(data=st.data())
def test_any_call_in_any_memory(name, device, data):
    operator, call = CALLS[name]
    operator.check(moved(data.draw, operator, call(data.draw, device)))


def test_every_operator_of_the_table_is_drawn():
    assert tuple(operator for operator, _ in CALLS.values()) == OPERATORS
