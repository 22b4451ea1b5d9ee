"""The repositories of stablekv: the first of the two calls in a WORKSPACE."""

load("//third_party/private:declare.bzl", "declare_repositories")

# buildifier: disable=unnamed-macro
def stablekv_repositories(pip_lock = None, cuda_lock = None, torch = "torch"):
    """Declares what a build of stablekv reads. A repository already declared under the name stays.

    The names are `torch` and, for the others, begin with stablekv_.

    Args:
      pip_lock: a lock of your own for @stablekv_pip, with your torch and what it requires.
      cuda_lock: a lock of your own for @stablekv_cuda: the wheels of one CUDA release.
      torch: another name for @torch, where you have a repository of that name. Then say so to
        stablekv: `repo_mapping = {"@torch": "@<name>"}` in the rule that declares it.
    """
    declare_repositories(
        cuda_lock = cuda_lock,
        is_declared = native.existing_rule,
        pip_lock = pip_lock,
        torch = torch,
    )
