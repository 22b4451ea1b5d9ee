"""The same call has the same bits, however the work is shared out and whatever scratch held."""

import pytest
import torch

from tests.support import attention
from tests.support.attention import AttentionCase
from tests.support.devices import each_device

_RUNS = 20
_CASES = [
    AttentionCase((6000,), num_heads=8, num_kv_heads=1, head_size=128, dtype=torch.bfloat16),
    AttentionCase((6000,), 8, 1, 128, dtype=torch.bfloat16, kv_cache_dtype="fp8"),
    AttentionCase((6000,), 16, 1, 128, dtype=torch.bfloat16),
    AttentionCase((6000,), 4, 4, 64, dtype=torch.float32),
    # Of very different lengths: shared out by bytes, sequences are split where others are not.
    AttentionCase((3, 5000, 70, 1025, 2600, 0, 512), 8, 2, 128, dtype=torch.float16),
    AttentionCase((3, 5000, 70, 1025), 8, 2, 128, dtype=torch.bfloat16, kv_cache_dtype="fp8_e5m2"),
]


@each_device
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("case", _CASES, ids=str)
def test_runs_agree_to_the_bit(case, version, device):
    arguments = attention.arguments_of(case, device)
    first = attention.run(version, arguments).clone()
    for _ in range(_RUNS):
        arguments["out"].fill_(float("nan"))
        again = attention.run(version, arguments)
        assert torch.equal(
            again, first
        )  # no NaN in it, so this is bit for bit but for zeros' signs
