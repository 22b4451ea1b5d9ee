"""Finds the operator library, looks for what would go wrong, and loads it once in a process.

torch refuses an operator that is registered twice, and a library that does not fit its torch fails
with a bare symbol name. So everything that can be known is checked before dlopen, and
every failure is an ImportError in words.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
from pathlib import Path

import torch

from stablekv import _operators
from stablekv._library_file import LIBRARY_NAME, LIBRARY_VARIABLE, check_whole, find_library
from stablekv._requirements import MINIMUM_TORCH

__all__ = ["LIBRARY_NAME", "LIBRARY_VARIABLE", "MINIMUM_TORCH", "find_library", "load"]


def load() -> Path:
    """Loads the library, or finds that it is already loaded, and returns its path.

    Raises:
        ImportError: torch is too old, the library is missing, cut short or does not load, or
            another one has already registered an operator of the same name. Nothing has been loaded
            then.
    """
    check_torch_version(torch.__version__)
    path = find_library()
    check_whole(path)
    if not _is_loaded(path):
        check_operator_names(registered_operators(), path)
        _open(path)
    if _was_refused(path):
        # It is loaded, by somebody who did not look first, and the operators are another's.
        check_operator_names(registered_operators(), path)
    missing = sorted(set(_operators.qualified_names()) - set(registered_operators()))
    if missing:
        raise ImportError(
            f"stablekv: {path} does not define {', '.join(missing)}: the library and the Python "
            "package are of different versions; install them together",
            path=str(path),
        )
    return path


def check_torch_version(version: str) -> None:
    """Raises ImportError unless `version` is at least MINIMUM_TORCH."""
    match = re.match(r"(\d+)\.(\d+)", version)
    wanted = ".".join(map(str, MINIMUM_TORCH))
    if match is None:
        raise ImportError(f"stablekv needs torch >= {wanted}, and cannot read version {version!r}")
    if (int(match[1]), int(match[2])) < MINIMUM_TORCH:
        raise ImportError(
            f"stablekv needs torch >= {wanted}, and this is torch {version}: its stable ABI lacks "
            "functions that the library calls; install a newer torch"
        )


def registered_operators() -> list[str]:
    """Those of our operators' names that this process has already, as `namespace::name`."""
    ours = _operators.qualified_names()
    list_names = getattr(torch._C, "_dispatch_get_all_op_names", None)
    if list_names is not None:
        present = {name.split(".")[0] for name in list_names()}
        return [name for name in ours if name in present]
    return [name for name in ours if _has_operator(*name.split("::"))]


def registered_by_others() -> list[str]:
    """The same, without those that the library itself has registered."""
    try:
        path = find_library()
    except ImportError:
        return registered_operators()
    is_ours = _is_loaded(path) and not _was_refused(path)
    return [] if is_ours else registered_operators()


def check_operator_names(registered: list[str], path: Path) -> None:
    """Raises ImportError when the names that `path` would define are in `registered`."""
    if registered:
        raise ImportError(
            f"stablekv: cannot load {path}: {', '.join(registered)} already registered in this "
            "process, by vLLM or by another copy of stablekv, and torch does not take an operator "
            "twice. Import only one of them in a process, or build stablekv with namespaces of "
            "its own (--@stablekv//csrc:namespace, --@stablekv//csrc:cache_namespace)",
            path=str(path),
        )


def _has_operator(namespace: str, name: str) -> bool:
    return hasattr(getattr(torch.ops, namespace), name)


def _is_loaded(path: Path) -> bool:
    """Whether this very file is in the process, whoever loaded it: the dynamic loader knows."""
    try:
        ctypes.CDLL(str(path), mode=os.RTLD_LAZY | os.RTLD_NOLOAD)
    except OSError:
        return False
    return True


def _was_refused(path: Path) -> bool:
    """Whether torch refused the operators of the library, which is loaded."""
    function = getattr(ctypes.CDLL(str(path)), "stablekv_build_info", None)
    if function is None:
        return False  # a stranger's library: its operators will be found missing
    function.restype = ctypes.c_char_p
    return not json.loads(function())["registered"]


def _open(path: Path) -> None:
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        reason = error.__cause__ or error
        raise ImportError(
            f"stablekv: cannot load {path} into torch {torch.__version__}: {reason}. A library "
            "built for another platform, another C library or a newer torch fails like this",
            path=str(path),
        ) from error
