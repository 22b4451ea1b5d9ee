"""Slots and positions inside CUDA tensors, at which nobody looks before the MLA kernels do."""

import pytest
import torch

from tests.support import tensors
from tests.support.contract import Variant
from tests.support.devices import on_cuda
from tests.support.mla_operators import (
    CONCAT_AND_CACHE_DS_MLA,
    CONCAT_AND_CACHE_MLA,
    CONCAT_AND_CACHE_MLA_ROPE_FUSED,
    INDEXER_K_QUANT_AND_CACHE,
)

pytestmark = on_cuda

_WRITERS = (
    CONCAT_AND_CACHE_MLA,
    CONCAT_AND_CACHE_DS_MLA,
    CONCAT_AND_CACHE_MLA_ROPE_FUSED,
    INDEXER_K_QUANT_AND_CACHE,
)
_VARIANTS = (Variant(torch.float32, "auto"), Variant(torch.float16, "fp8"))


def _check_skipped(operator, variant, name, wrong):
    """A token with a wrong value is as one of padding."""
    arguments = operator.build(variant, "cuda")
    padded = {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}
    padded["slot_mapping"][4] = -1
    operator.check(padded)
    arguments[name][4] = wrong
    operator.call(**arguments)
    for row in operator.rows:
        if row.written:
            got, want = (tensors.bytes_of(a[row.name]) for a in (arguments, padded))
            assert torch.equal(got, want), row.name


@pytest.mark.parametrize("operator", _WRITERS, ids=str)
@pytest.mark.parametrize("variant", _VARIANTS, ids=str)
@pytest.mark.parametrize("wrong", [64, 65, 2**40, 2**63 - 1])
def test_slots_past_the_cache_are_skipped(wrong, variant, operator):
    _check_skipped(operator, variant, "slot_mapping", wrong)


@pytest.mark.parametrize("variant", _VARIANTS, ids=str)
@pytest.mark.parametrize("wrong", [-1, 50, 2**40, -(2**63), 2**63 - 1])
def test_positions_past_the_table_are_skipped(wrong, variant):
    _check_skipped(CONCAT_AND_CACHE_MLA_ROPE_FUSED, variant, "positions", wrong)
