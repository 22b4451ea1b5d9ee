"""The package and an extension of this module's own, both by MODULE.bazel."""

import sys

import stablekv
import torch


def main() -> None:
    torch.ops.load_library(sys.argv[1])
    lengths = [3, 1]
    blocks = [torch.ops.planner.blocks_for(length, 2) for length in lengths]
    assert blocks == [2, 1], blocks

    cache = torch.arange(5 * 2 * 4, dtype=torch.float32).view(5, 2, 4)
    table = torch.tensor([[4, 1], [2, 0]], dtype=torch.int32)
    out = torch.zeros(4, 4)
    starts = torch.tensor([0, 3, 4], dtype=torch.int32)
    stablekv.cp_gather_cache(cache, out, table, starts, 2)
    wanted = torch.stack([cache[4, 0], cache[4, 1], cache[1, 0], cache[2, 0]])
    torch.testing.assert_close(out, wanted, rtol=0, atol=0)


if __name__ == "__main__":
    main()
