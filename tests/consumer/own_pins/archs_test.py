"""The compiled kernel holds code for the GPUs that this workspace asks for, and no others."""

import pathlib
import re
import struct
import sys

PTX, MACHINE_CODE = 1, 2
MAGIC = struct.pack("<I", 0xBA55ED50)


def gpu_code(data: bytes) -> set[str]:
    """Returns what the fat binaries in `data` hold: `sm_86`, `compute_100`, ..."""
    found = set()
    for match in re.finditer(re.escape(MAGIC), data):
        start = match.start()
        _, _, header, size = struct.unpack_from("<IHHQ", data, start)
        at, end = start + header, start + header + size
        while at < end:
            kind, _, entry_header, entry_size = struct.unpack_from("<HHIQ", data, at)
            (arch,) = struct.unpack_from("<I", data, at + 28)
            found.add({PTX: "compute_", MACHINE_CODE: "sm_"}[kind] + str(arch))
            at += entry_header + entry_size
    return found


def main() -> None:
    found = gpu_code(pathlib.Path(sys.argv[1]).read_bytes())
    assert found == {"sm_86", "compute_100"}, found


if __name__ == "__main__":
    main()
