"""The operators work under another repository name, beside another @torch."""

import pathlib
import sys

import stablekv
import torch


def main() -> None:
    assert pathlib.Path(sys.argv[1]).read_text() == "of wood\n"
    src = torch.arange(32, dtype=torch.float32).view(4, 8)
    dst = torch.zeros(4, 8)
    stablekv.swap_blocks(src, dst, 8 * 4, torch.tensor([[3, 0], [1, 2]]))
    wanted = torch.zeros(4, 8)
    wanted[0], wanted[2] = src[3], src[1]
    torch.testing.assert_close(dst, wanted, rtol=0, atol=0)


if __name__ == "__main__":
    main()
