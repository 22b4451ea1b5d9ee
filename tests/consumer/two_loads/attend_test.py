"""Attention through the paged cache is attention over all that was stored."""

import stablekv
import torch

HEADS, SIZE = 2, 64


def main() -> None:
    torch.manual_seed(0)
    kv = stablekv.KVCache(
        num_layers=1, num_blocks=8, num_kv_heads=HEADS, head_size=SIZE, dtype=torch.float32
    )
    sequence = kv.add()
    key, value = torch.randn(2, 40, HEADS, SIZE)
    for first, last in ((0, 39), (39, 40)):
        batch = kv.append([sequence], [last - first])
        kv.write(0, key[first:last], value[first:last], batch)
    query = torch.randn(1, HEADS, SIZE)
    out = kv.attend(0, query, batch)

    weights = torch.einsum("qhd,khd->hqk", query, key).mul(SIZE**-0.5).softmax(-1)
    torch.testing.assert_close(out, torch.einsum("hqk,khd->qhd", weights, value))


if __name__ == "__main__":
    main()
