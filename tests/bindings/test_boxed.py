"""Arguments arrive in the bindings as they were given, whatever their types."""

from __future__ import annotations

import itertools
import os
import struct

import pytest
import torch

LIBRARY = os.environ.get("STABLEKV_BOXED_LIBRARY")
pytestmark = pytest.mark.skipif(
    LIBRARY is None, reason="STABLEKV_BOXED_LIBRARY does not name a built boxed_values.so"
)


@pytest.fixture(scope="module")
def operators():
    torch.ops.load_library(os.path.abspath(LIBRARY))
    return torch.ops.stablekv_boxed


_INTEGERS = (0, -1, 2**63 - 1, -(2**63))
_FLOATS = (0.0, -0.0, 1e300, -5e-324, float("inf"), float("nan"))
_TEXTS = ("", "auto", "a text of more than fifteen characters", "naïve")
_TENSORS = (None, torch.zeros(()), torch.zeros(2, 3, 4))


def _refused(operator, *values):
    with pytest.raises(RuntimeError) as error:
        operator(*values)
    return str(error.value).splitlines()[0]


@pytest.mark.parametrize("number", _INTEGERS)
@pytest.mark.parametrize("text", _TEXTS)
def test_values(operators, number, text):
    rest = itertools.product(_FLOATS, (False, True), (None, *_INTEGERS), _TENSORS)
    for real, truth, optional, tensor in rest:
        (bits,) = struct.unpack("<Q", struct.pack("<d", real))
        got = _refused(operators.values, number, real, truth, text, optional, tensor)
        wanted = f"{number} {bits} {truth:d} [{text}] "
        wanted += f"{'' if optional is None else optional} "
        assert got == wanted + ("" if tensor is None else str(tensor.dim()))


@pytest.mark.parametrize(("name", "values"), [("too_few", (1,)), ("returns", (1, 2))])
def test_a_schema_that_is_not_the_functions(operators, name, values):
    wanted = "stablekv: an operator's schema is not that of its function"
    assert _refused(getattr(operators, name), *values) == wanted
