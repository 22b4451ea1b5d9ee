"""What is imported is what this workspace's own lock says, and the operators run on it."""

import importlib.metadata
import pathlib
import re
import sys

import stablekv
import torch


def main() -> None:
    lock = pathlib.Path(sys.argv[1]).read_text()
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", lock, re.MULTILINE))
    for name in ("torch", "numpy", "packaging"):
        assert importlib.metadata.version(name) == pins[name], name
    assert torch.__version__ == pins["torch"]
    # In stablekv's own lock, and not in this one.
    assert not [d for d in importlib.metadata.distributions() if d.name == "hypothesis"]

    cache = torch.tensor([[1.0, -2.0, 0.5, 300.0]])
    stored = torch.zeros(1, 4, dtype=torch.uint8)
    stablekv.convert_fp8(stored, cache, 1.0, "fp8_e4m3")
    assert stored.tolist() == [[0x38, 0xC0, 0x30, 0x79]], stored.tolist()


if __name__ == "__main__":
    main()
