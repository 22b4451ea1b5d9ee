"""`cuda_test`: a test program of .cu files."""

load("//tools/cc:defs.bzl", "cc_test")
load(":cuda_library.bzl", "cuda_library")

# The second keeps the tests of one Bazel apart on the GPU, of which .bazelrc says there is one;
# those of different Bazels wait for each other in //tools/gpu:alone.
_TAGS = ["requires-gpu", "resources:gpu:1"]

def cuda_test(name, srcs, hdrs = [], deps = [], archs = [], tags = [], **kwargs):
    """A test for a GPU: it has the tag `requires-gpu`, and the resource `gpu` for itself.

    It runs where there is no GPU too: its program is what skips then, or fails. Say in .bazelrc how
    many GPUs there are, or Bazel does not know the resource: `build --local_resources=gpu=1`.

    Args:
      name: of the target.
      srcs: CUDA sources, one with a main().
      hdrs: headers of the test's own.
      deps: C++ and CUDA libraries.
      archs: GPU architectures of this test, in place of `@stablekv//tools/cuda:archs`.
      tags: further tags.
      **kwargs: what cc_test takes: size, linkopts, ...
    """
    cuda_library(
        name = name + "_main",
        testonly = True,
        srcs = srcs,
        archs = archs,
        hdrs = hdrs,
        visibility = ["//visibility:private"],
        deps = deps,
    )
    cc_test(
        name = name,
        tags = _TAGS + tags,
        deps = [name + "_main"],
        **kwargs
    )
