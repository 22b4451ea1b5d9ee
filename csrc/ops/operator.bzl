"""The two targets of an operator: its checks, and their test."""

load("//tools/cc:defs.bzl", "cc_library", "cc_test")

def operator_library(name, deps, test_deps = []):
    """Arguments in, params struct out: NAME.cc and NAME.h, tested by NAME_test.cc.

    Args:
      name: the operator.
      deps: what it needs besides what every operator does, its kernel's struct for one.
      test_deps: what the test needs besides the operator.
    """
    cc_library(
        name = name,
        srcs = [name + ".cc"],
        hdrs = [name + ".h"],
        visibility = [
            "//csrc/libtorch_stable:__pkg__",
            "//csrc/libtorch_unstable:__pkg__",
        ],
        deps = deps + [
            ":check",
            ":tensor_arg",
            "//csrc/kernels/common:status",
        ],
    )
    cc_test(
        name = name + "_test",
        srcs = [name + "_test.cc"],
        deps = test_deps + [
            ":" + name,
            ":testing",
        ],
    )
