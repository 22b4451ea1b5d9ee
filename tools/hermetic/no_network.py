"""Runs a program without a network, not even the machine's own: no_network.py PROGRAM ARGUMENT...

In a network namespace of its own (see unshare(2)), in which nothing but an unconfigured loopback
exists. Needs root, or a kernel that lets users make namespaces. Standard library only.
"""

import ctypes
import os
import socket
import sys

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


def leave_network() -> None:
    """Cuts this process and its children off; raises OSError where that is not allowed."""
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare: " + os.strerror(ctypes.get_errno()))


def is_cut_off() -> bool:
    """Whether the kernel knows no way to any other machine (an address for documentation)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return True
    return False


if __name__ == "__main__":
    leave_network()
    if not is_cut_off():
        sys.exit("no_network: there is still a network")
    os.execvp(sys.argv[1], sys.argv[1:])
