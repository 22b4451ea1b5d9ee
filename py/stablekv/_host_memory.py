"""Memory of the CPU for caches, in huge pages where the system has them."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence

import torch

_HUGE_PAGE = 2 << 20  # bytes


def zeros(
    shape: Sequence[int], dtype: torch.dtype, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """torch.zeros; on the CPU in huge pages, if it is at least as big as one."""
    tensor = torch.empty(shape, dtype=dtype, device=device)
    has_memory = type(tensor) is torch.Tensor  # not a fake tensor's
    if tensor.device.type == "cpu" and has_memory and not torch.compiler.is_compiling():
        _ask_for_huge_pages(tensor)
    return tensor.zero_()


def _ask_for_huge_pages(tensor: torch.Tensor) -> None:
    """Before the first touch. Blocks are read in random places, of which each costs a walk through
    the page table, and a core remembers few of those. What a system refuses is left as it is."""
    begin = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
    if end - begin < _HUGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    madvise(begin, end - begin, mmap.MADV_HUGEPAGE)
