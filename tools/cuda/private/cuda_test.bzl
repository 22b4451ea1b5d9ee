"""`cuda_test`: a test program of .cu files."""

load("//tools/cc:defs.bzl", "cc_test")
load(":cuda_library.bzl", "cuda_library")

# The second keeps the tests of one Bazel apart on the GPU, of which .bazelrc says there is one;
# those of different Bazels wait for each other in //tools/gpu:alone.
_TAGS = ["requires-gpu", "resources:gpu:1"]

def cuda_test(
        name,
        srcs,
        hdrs = [],
        deps = [],
        archs = [],
        copts = [],
        defines = [],
        local_defines = [],
        tags = [],
        target_compatible_with = [],
        **kwargs):
    """A test for a GPU: it has the tag `requires-gpu`, and the resource `gpu` for itself.

    It runs where there is no GPU too: its program is what skips then, or fails. Say in .bazelrc how
    many GPUs there are, or Bazel does not know the resource: `build --local_resources=gpu=1`.

    Args:
      name: of the target.
      srcs: CUDA sources, one with a main().
      hdrs: headers of the test's own.
      deps: C++ and CUDA libraries.
      archs: GPU architectures of this test, in place of `@stablekv//tools/cuda:archs`.
      copts: options for nvcc, after the default ones.
      defines: as local_defines: nothing depends on a test.
      local_defines: macros for the sources.
      tags: further tags.
      target_compatible_with: further constraints.
      **kwargs: what cc_test takes: size, linkopts, ...
    """
    cuda_library(
        name = name + "_main",
        testonly = True,
        srcs = srcs,
        hdrs = hdrs,
        archs = archs,
        copts = copts,
        local_defines = defines + local_defines,
        # Or //... would compile what it is told not to test.
        tags = [tag for tag in tags if tag == "manual"],
        target_compatible_with = target_compatible_with,
        visibility = ["//visibility:private"],
        deps = deps,
    )
    cc_test(
        name = name,
        tags = _TAGS + tags,
        target_compatible_with = target_compatible_with,
        deps = [name + "_main"],
        **kwargs
    )
