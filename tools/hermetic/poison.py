"""A machine full of what must not matter: other CUDAs and torches, programs that must not run."""

import os
import pathlib

# A build that calls one of these calls a tool that it has not declared.
_PROGRAMS = (
    *("nvcc", "ptxas", "cicc", "fatbinary", "cudafe++", "nvlink", "cuobjdump"),
    *("pip", "pip3", "python", "cmake", "ninja", "ccache", "clang", "protoc"),
)
_HEADERS = ("cuda.h", "cuda_runtime.h", "cuda_fp16.h", "torch/csrc/stable/library.h", "stdint.h")
_LIBRARIES = ("libcudart.so", "libcudart.so.13", "libtorch.so", "libc10.so", "libstdc++.a")


def _write(path: pathlib.Path, text: str) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def plant(root: pathlib.Path, home: pathlib.Path) -> dict[str, str]:
    """Fills `root` and `home`; returns the variables that lead to them. `marks` lists who came."""
    marks = root / "marks"
    marks.mkdir(parents=True)
    for name in _PROGRAMS:
        script = f"#!/bin/sh\ntouch '{marks}/{name}'\necho 'poisoned {name}' >&2\nexit 97\n"
        _write(root / "bin" / name, script).chmod(0o755)
        _write(root / "cuda/bin" / name, script).chmod(0o755)
    for name in _HEADERS:
        _write(root / "cuda/include" / name, "#error poisoned\n")
    for name in _LIBRARIES:
        _write(root / "cuda/lib64" / name, "poisoned\n")
    python = f"open({str(marks / 'python')!r}, 'w')\nraise ImportError('poisoned')\n"
    for site in (root / "site", home / ".local/lib/python3.11/site-packages"):
        for module in ("torch/__init__.py", "numpy/__init__.py", "argparse.py", "json/__init__.py"):
            _write(site / module, python)
    include, lib = str(root / "cuda/include"), str(root / "cuda/lib64")
    return {
        "PATH": f"{root}/bin:{root}/cuda/bin:{os.environ['PATH']}",
        "CUDA_HOME": f"{root}/cuda",
        "CUDA_PATH": f"{root}/cuda",
        "CUDACXX": f"{root}/cuda/bin/nvcc",
        "NVCC_PREPEND_FLAGS": "-DPOISONED",
        "NVCC_APPEND_FLAGS": "-DPOISONED",
        "LD_LIBRARY_PATH": lib,
        "LIBRARY_PATH": lib,
        "CPATH": include,
        "C_INCLUDE_PATH": include,
        "CPLUS_INCLUDE_PATH": include,
        "CFLAGS": "-DPOISONED",
        "CXXFLAGS": "-DPOISONED",
        "LDFLAGS": f"-L{lib}",
        "PYTHONPATH": f"{root}/site",
        "PYTHONUSERBASE": f"{home}/.local",
        "TORCH_CUDA_ARCH_LIST": "7.5",
    }


def marks(root: pathlib.Path) -> list[str]:
    """What was run or imported of what `plant` has put there."""
    return sorted(path.name for path in (root / "marks").iterdir())
