"""The extension loads, works, checks, and carries code for the GPUs that were asked for."""

import mmap
import struct
import sys

import torch

PTX, MACHINE_CODE = 1, 2
MAGIC = struct.pack("<I", 0xBA55ED50)


def gpu_code(path: str) -> set[str]:
    """Returns what the file's fat binaries hold: `sm_80`, `compute_120`, ..."""
    found = set()
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(MAGIC)
        while start >= 0:
            _, _, header, size = struct.unpack_from("<IHHQ", data, start)
            at, end = start + header, start + header + size
            while at < end:
                kind, _, entry_header, entry_size = struct.unpack_from("<HHIQ", data, at)
                (arch,) = struct.unpack_from("<I", data, at + 28)
                found.add({PTX: "compute_", MACHINE_CODE: "sm_"}[kind] + str(arch))
                at += entry_header + entry_size
            start = data.find(MAGIC, start + len(MAGIC))
    return found


def main() -> None:
    path = sys.argv[1]
    torch.ops.load_library(path)
    brighten = torch.ops.image_ops.brighten

    image = torch.arange(256, dtype=torch.uint8)
    wanted = (image.int() + 100).clamp(max=255).to(torch.uint8)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        torch.testing.assert_close(brighten(image.to(device), 100).cpu(), wanted, rtol=0, atol=0)
    try:
        brighten(image.float(), 100)
        raise AssertionError("a float image was taken")
    except RuntimeError as error:
        assert "image: wanted uint8" in str(error), error

    assert gpu_code(path) == {"sm_80", "sm_120", "compute_120"}, gpu_code(path)
    print("ran on", devices, "with code for", sorted(gpu_code(path)))


if __name__ == "__main__":
    main()
