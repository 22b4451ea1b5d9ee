"""The repositories of stablekv: the first of the two calls in a WORKSPACE."""

load("//third_party/cuda:defs.bzl", "cuda_repository")
load("//third_party/cuda:versions.bzl", "CUDA_LOCKS", "cuda_repository_name")
load("//third_party/host:defs.bzl", "host_repository")
load("//third_party/python:defs.bzl", "pip_repository", "python_repository")
load("//third_party/torch:defs.bzl", "torch_repository")

# buildifier: disable=unnamed-macro
def stablekv_repositories():
    """Declares what a build of stablekv reads. A repository already declared under the name stays."""
    _maybe(
        host_repository,
        name = "stablekv_host",
    )
    _maybe(
        python_repository,
        name = "stablekv_python",
    )
    _maybe(
        pip_repository,
        name = "stablekv_pip",
        lock = Label("//third_party/python:core.lock"),
    )
    _maybe(
        torch_repository,
        name = "torch",
        torch = "@stablekv_pip//:site/torch/torch/version.py",
    )
    _maybe(
        cuda_repository,
        name = "stablekv_cuda",
        lock = Label("//third_party/cuda:cuda-13.0.lock"),
    )
    for version, lock in CUDA_LOCKS.items():
        _maybe(
            cuda_repository,
            name = cuda_repository_name(version),
            lock = lock,
        )

def _maybe(rule, name, **kwargs):
    if not native.existing_rule(name):
        rule(name = name, **kwargs)
