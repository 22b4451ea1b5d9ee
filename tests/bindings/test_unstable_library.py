"""The extension for what the stable ABI lacks."""

from __future__ import annotations

import os

import pytest
import stablekv  # noqa: F401  (both libraries live in one process)
import torch
from torch.multiprocessing.reductions import StorageWeakRef

LIBRARY = os.environ.get("STABLEKV_UNSTABLE_LIBRARY")
pytestmark = pytest.mark.skipif(
    LIBRARY is None, reason="STABLEKV_UNSTABLE_LIBRARY does not name a _C.so of this torch"
)

CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
)


@pytest.fixture(scope="module")
def weak_ref_tensor():
    torch.ops.load_library(os.path.abspath(LIBRARY))
    return torch.ops._C.weak_ref_tensor


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_same_memory_same_shape(weak_ref_tensor, device, dtype):
    tensor = torch.arange(24, device=device).reshape(4, 6).to(dtype)[1:, ::2]
    weak = weak_ref_tensor(tensor)
    assert weak.data_ptr() == tensor.data_ptr()
    assert (weak.shape, weak.stride()) == (tensor.shape, tensor.stride())
    assert (weak.dtype, weak.device) == (tensor.dtype, tensor.device)
    assert torch.equal(weak, tensor)
    tensor.zero_()
    assert not weak.any()
    weak.fill_(1)
    assert tensor.all()


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_does_not_keep_the_memory(weak_ref_tensor, device):
    tensor = torch.zeros(1000, device=device)
    memory = StorageWeakRef(tensor.untyped_storage())
    weak, view = weak_ref_tensor(tensor), tensor[:]
    del tensor
    assert not memory.expired()
    del view
    assert memory.expired()
    assert weak.shape == (1000,)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), ()])
def test_empty_and_scalar(weak_ref_tensor, shape, device):
    assert weak_ref_tensor(torch.zeros(shape, device=device)).shape == shape


def test_is_a_leaf(weak_ref_tensor):
    tensor = torch.ones(3, requires_grad=True)
    weak = weak_ref_tensor(tensor * 2)
    assert not weak.requires_grad
    assert weak.grad_fn is None


def test_other_devices_are_refused(weak_ref_tensor):
    with pytest.raises(NotImplementedError, match="weak_ref_tensor"):
        weak_ref_tensor(torch.empty(3, device="meta"))


def test_lives_beside_the_stable_library(weak_ref_tensor):
    assert torch.ops._C.paged_attention_v1.default._schema.name == "_C::paged_attention_v1"
    assert str(weak_ref_tensor.default._schema) == "_C::weak_ref_tensor(Tensor input) -> Tensor"
