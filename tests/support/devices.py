"""The devices that a test runs on: the CPU always, CUDA where there is some."""

from __future__ import annotations

import pytest
import torch

if torch.cuda.is_available():
    WHY_NOT_CUDA = ""
elif torch.version.cuda is None:
    WHY_NOT_CUDA = f"torch {torch.__version__} is built without CUDA"
else:
    WHY_NOT_CUDA = "torch finds no CUDA device"

on_cuda = pytest.mark.skipif(bool(WHY_NOT_CUDA), reason=WHY_NOT_CUDA)
each_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=on_cuda)])
