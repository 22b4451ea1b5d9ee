"""Which repositories a build of stablekv reads: one list for WORKSPACE and for MODULE.bazel."""

load("//third_party/cuda:defs.bzl", "cuda_repository")
load("//third_party/cuda:versions.bzl", "CUDA_LOCKS", "cuda_repository_name")
load("//third_party/host:defs.bzl", "host_repository")
load("//third_party/python:defs.bzl", "pip_repository", "python_repository")
load("//third_party/torch:defs.bzl", "torch_repository")

def declare_repositories(pip_lock = None, cuda_lock = None, torch = "torch", is_declared = None):
    """Declares the repositories.

    Args:
      pip_lock: the lock of the Python packages, torch among them; None for our own.
      cuda_lock: the lock of the default CUDA release's wheels; None for our own.
      torch: the name of libtorch's repository.
      is_declared: a function that says whether a name is taken, and so left as it is.
    """

    def missing(name):
        return not (is_declared and is_declared(name))

    if missing("stablekv_host"):
        host_repository(name = "stablekv_host")
    if missing("stablekv_python"):
        python_repository(name = "stablekv_python")
    if missing("stablekv_pip"):
        pip_repository(
            name = "stablekv_pip",
            lock = pip_lock or Label("//third_party/python:core.lock"),
        )
    if missing(torch):
        torch_repository(
            name = torch,
            torch = "@stablekv_pip//:site/torch/torch/version.py",
        )
    if missing("stablekv_cuda"):
        cuda_repository(
            name = "stablekv_cuda",
            lock = cuda_lock or Label("//third_party/cuda:cuda-13.0.lock"),
        )
    for version, lock in CUDA_LOCKS.items():
        if missing(cuda_repository_name(version)):
            cuda_repository(name = cuda_repository_name(version), lock = lock)
