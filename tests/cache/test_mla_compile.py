"""A step of all MLA operators under torch.compile."""

import pytest
import stablekv
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from tests.support import mla, tensors
from tests.support.devices import each_device
from tests.support.mla import MlaCase


@pytest.fixture(autouse=True)
def _fresh_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()


def _step(tensor):
    """Rotates and caches, caches once more as fp8_ds_mla and for the indexer, joins the queries."""
    stablekv.concat_and_cache_mla_rope_fused(
        tensor["positions"],
        tensor["q_pe"],
        tensor["k_pe"],
        tensor["kv_c"],
        tensor["cos_sin_cache"],
        True,
        tensor["slot_mapping"],
        tensor["kv_cache"],
        "fp8",
        tensor["kv_cache_scale"],
    )
    stablekv.concat_and_cache_mla(
        tensor["kv_c"],
        tensor["k_pe"],
        tensor["ds_mla_cache"],
        tensor["slot_mapping"],
        mla.DS_MLA,
        tensor["kv_cache_scale"],
    )
    stablekv.indexer_k_quant_and_cache(
        tensor["kv_c"], tensor["indexer_cache"], tensor["slot_mapping"], 128, "ue8m0"
    )
    nope = tensor["kv_c"][:, None, :].expand(-1, tensor["q_pe"].shape[1], -1)
    q_out = torch.empty_like(torch.cat([nope, tensor["q_pe"]], dim=2))
    stablekv.concat_mla_q(nope, tensor["q_pe"], q_out)
    return q_out


def _tensors(num_tokens, num_heads, num_blocks, device):
    slots = torch.randperm(num_blocks * 16)[:num_tokens].tolist()
    case = MlaCase(
        slots=(*slots[:-1], -1),
        num_heads=num_heads,
        num_blocks=num_blocks,
        kv_lora_rank=512,
        pe_dim=64,
        dtype=torch.bfloat16,
        kv_cache_dtype="fp8",
        spare_tokens=0,
    )
    arguments = mla.fused_arguments(case, device)
    given = {n: v for n, v in arguments.items() if isinstance(v, torch.Tensor)}
    given["ds_mla_cache"] = mla.noise((num_blocks, 16, 656), torch.uint8, seed=8).to(device)
    given["indexer_cache"] = mla.noise((num_blocks, 16, 528), torch.uint8, seed=9).to(device)
    return given


@each_device
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_one_graph_serves_any_number_of_tokens(backend, device):
    counter = CompileCounterWithBackend(backend)
    step = torch.compile(_step, fullgraph=True, dynamic=True, backend=counter)
    for num_tokens, num_heads, num_blocks in ((7, 3, 5), (30, 2, 4), (2, 17, 11)):
        compiled = _tensors(num_tokens, num_heads, num_blocks, device)
        eager = {name: tensor.clone() for name, tensor in compiled.items()}
        out, want = step(compiled), _step(eager)
        assert torch.equal(tensors.bytes_of(out), tensors.bytes_of(want))
        for name, tensor in eager.items():
            assert torch.equal(tensors.bytes_of(compiled[name]), tensors.bytes_of(tensor)), name
    assert counter.frame_count == 1
