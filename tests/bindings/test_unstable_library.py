"""The extension for what the stable ABI lacks."""

from __future__ import annotations

import os
import re

import pytest
import stablekv  # noqa: F401  (both libraries live in one process)
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from tests.support.devices import WHY_NOT_CUDA, on_cuda

LIBRARY = os.environ.get("STABLEKV_UNSTABLE_LIBRARY")
pytestmark = pytest.mark.skipif(
    LIBRARY is None, reason="STABLEKV_UNSTABLE_LIBRARY does not name a _C.so of this torch"
)

CUDA = pytest.param("cuda", marks=on_cuda)

NOT_PINNED = (
    "cpu_tensor must be in pinned memory, all of it in one allocation, "
    "got memory that is pageable, or not pinned as one to its last byte"
)

# Tensors of four values that are not in their memory, and what they are called.
NOT_IN_MEMORY = {
    "a conjugate view (see torch.resolve_conj)": lambda: torch.ones(
        4, dtype=torch.complex64
    ).conj(),
    "a negative view (see torch.resolve_neg)": lambda: (
        torch.ones(4, dtype=torch.complex64).conj().imag
    ),
    "a zero tensor without memory (see torch.clone)": lambda: torch._efficientzerotensor(4),
}


@pytest.fixture(scope="module", autouse=True)
def _library():
    torch.ops.load_library(os.path.abspath(LIBRARY))


@pytest.fixture
def weak_ref_tensor():
    return torch.ops._C.weak_ref_tensor


@pytest.fixture
def cuda_view():
    return torch.ops._C.get_cuda_view_from_cpu_tensor


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


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("got", NOT_IN_MEMORY)
def test_values_that_are_not_in_memory_are_refused(weak_ref_tensor, got, device):
    # torch would hand in a copy with the values, which is gone when the call returns.
    with torch.device(device):
        tensor = NOT_IN_MEMORY[got]()
    message = f"weak_ref_tensor: input must have its values in memory, got {got}"
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        weak_ref_tensor(tensor)


def test_other_devices_are_refused(weak_ref_tensor):
    with pytest.raises(NotImplementedError, match="weak_ref_tensor"):
        weak_ref_tensor(torch.empty(3, device="meta"))


def test_lives_beside_the_stable_library(weak_ref_tensor, cuda_view):
    assert torch.ops._C.paged_attention_v1.default._schema.name == "_C::paged_attention_v1"
    assert str(weak_ref_tensor.default._schema) == "_C::weak_ref_tensor(Tensor input) -> Tensor"
    schema = "_C::get_cuda_view_from_cpu_tensor(Tensor cpu_tensor) -> Tensor"
    assert str(cuda_view.default._schema) == schema


@pytest.mark.skipif(not WHY_NOT_CUDA, reason="there is CUDA")
@pytest.mark.parametrize("shape", [(3,), (0,)])
def test_no_view_without_cuda(cuda_view, shape):
    why = "this torch is built without CUDA"
    if torch.version.cuda is not None:
        why = "there is no CUDA device"
    with pytest.raises(RuntimeError, match=f"^get_cuda_view_from_cpu_tensor: {why}"):
        cuda_view(torch.zeros(shape))


@pytest.mark.parametrize("got", NOT_IN_MEMORY)
def test_no_view_of_values_that_are_not_in_memory(cuda_view, got):
    message = f"get_cuda_view_from_cpu_tensor: cpu_tensor must have its values in memory, got {got}"
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        cuda_view(NOT_IN_MEMORY[got]())


def test_no_view_of_a_tensor_without_memory(cuda_view):
    with pytest.raises(NotImplementedError, match="get_cuda_view_from_cpu_tensor"):
        cuda_view(torch.empty(3, device="meta"))


@on_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_both_sides_of_a_view_see_writes(cuda_view, dtype):
    tensor = torch.arange(24).reshape(4, 6).to(dtype).pin_memory()
    part = tensor[1:, ::2]
    view = cuda_view(part)
    assert (view.shape, view.stride()) == (part.shape, part.stride())
    assert (view.dtype, view.device) == (dtype, torch.device("cuda", torch.cuda.current_device()))
    assert torch.equal(view.cpu(), part)
    want = tensor.clone()
    part.zero_()
    assert not view.any()
    view.fill_(1)
    torch.cuda.synchronize()
    want[1:, ::2] = 1
    assert torch.equal(tensor, want)


@on_cuda
def test_a_view_of_pages_that_were_pinned_later(cuda_view):
    tensor = torch.arange(5000)
    runtime = torch.cuda.cudart()
    assert int(runtime.cudaHostRegister(tensor.data_ptr(), tensor.nbytes, 0)) == 0
    try:
        assert int(cuda_view(tensor[100:]).sum()) == int(tensor[100:].sum())
    finally:
        assert int(runtime.cudaHostUnregister(tensor.data_ptr())) == 0


@on_cuda
def test_memory_of_which_only_the_first_page_is_pinned(cuda_view):
    page = 4096
    memory = torch.zeros(16 * page, dtype=torch.uint8)
    tensor = memory[-memory.data_ptr() % page :][: 8 * page]
    runtime = torch.cuda.cudart()
    assert int(runtime.cudaHostRegister(tensor.data_ptr(), page, 0)) == 0
    try:
        assert cuda_view(tensor[:page]).shape == (page,)
        for part in (tensor, tensor[: page + 1], tensor[::page]):
            with pytest.raises(RuntimeError, match=f"^get_cuda_view_from_cpu_tensor: {NOT_PINNED}"):
                cuda_view(part)
    finally:
        assert int(runtime.cudaHostUnregister(tensor.data_ptr())) == 0


@on_cuda
def test_a_lazy_clone_is_not_viewed_in_the_memory_of_the_original(cuda_view):
    tensor = torch.arange(5000)
    runtime = torch.cuda.cudart()
    assert int(runtime.cudaHostRegister(tensor.data_ptr(), tensor.nbytes, 0)) == 0
    try:
        clone = torch._lazy_clone(tensor)
        with pytest.raises(RuntimeError, match=NOT_PINNED):  # that of its own is not
            cuda_view(clone)
        cuda_view(tensor).zero_()
        torch.cuda.synchronize()
        assert not tensor.any()
        assert torch.equal(clone, torch.arange(5000))
    finally:
        assert int(runtime.cudaHostUnregister(tensor.data_ptr())) == 0


@on_cuda
def test_a_view_keeps_the_memory(cuda_view):
    tensor = torch.zeros(1000, pin_memory=True)
    memory = StorageWeakRef(tensor.untyped_storage())
    view = cuda_view(tensor)
    del tensor
    assert not memory.expired()
    torch.cuda.synchronize()
    del view
    assert memory.expired()


@on_cuda
@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), ()])
def test_empty_and_scalar_views(cuda_view, shape):
    assert cuda_view(torch.zeros(shape).pin_memory()).shape == shape


@on_cuda
def test_a_view_is_a_leaf(cuda_view):
    view = cuda_view(torch.ones(3, pin_memory=True).requires_grad_())
    assert not view.requires_grad


@on_cuda
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cpu", NOT_PINNED),
        ("cuda:0", "cpu_tensor must be on cpu, got cuda:0"),
    ],
)
def test_a_tensor_that_cannot_be_viewed(cuda_view, device, message):
    with pytest.raises(RuntimeError, match=f"^get_cuda_view_from_cpu_tensor: {message}$"):
        cuda_view(torch.zeros(3, device=device))
    torch.cuda.synchronize()  # nothing is left behind of it
