"""The repositories of stablekv: the first of the two calls in a WORKSPACE."""

load("//third_party/private:declare.bzl", "declare_repositories")

# buildifier: disable=unnamed-macro
def stablekv_repositories(pip_lock = None, cuda_lock = None, torch = "torch"):
    """Declares what a build of stablekv reads. A repository already declared under the name stays.

    The names are `torch` and, for the others, begin with stablekv_.

    Args:
      pip_lock: a lock of your own for @stablekv_pip, with your torch and what it requires.
      cuda_lock: a lock of your own for @stablekv_cuda: the wheels of one CUDA release.
      torch: the name to give libtorch's repository if `@torch` is already taken; also pass
        `repo_mapping = {"@torch": "@<name>"}` to the rule that declares stablekv.
    """
    declare_repositories(
        cuda_lock = cuda_lock,
        is_declared = native.existing_rule,
        pip_lock = pip_lock,
        torch = torch,
    )
