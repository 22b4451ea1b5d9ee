"""The README's Python runs as it stands."""

import os
import pathlib
import re

import torch


def test_example():
    text = pathlib.Path(os.environ["STABLEKV_README"]).read_text()
    (source,) = re.findall(r"```python\n(.+?)```", text, re.DOTALL)
    names = {}
    exec(compile(source, "README.md", "exec"), names)
    assert names["out"].shape == (1, 32, 128)
    assert torch.isfinite(names["out"]).all()
    assert names["kv"].num_used_blocks == 0
