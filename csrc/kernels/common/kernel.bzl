"""The two torch-free targets of every kernel: what it is called with, and what runs on the CPU."""

load("//tools/cc:defs.bzl", "cc_library")

def in_order(deps):
    """Labels as a BUILD file lists them: it is the linker's order, whichever macro adds some.

    Args:
      deps: labels.

    Returns:
      Those of the same package, then the others, by name.
    """
    return sorted(deps, key = lambda label: label.partition(":"))

def kernel(name, deps = [], cpu_deps = []):
    """NAME: the params struct and the entry points, NAME.h. NAME_cpu: the CPU's, NAME_cpu.cc.

    Args:
      name: the kernel.
      deps: what the header needs besides what that of every kernel does.
      cpu_deps: what the CPU's source needs besides the header.
    """
    cc_library(
        name = name,
        hdrs = [name + ".h"],
        visibility = ["//visibility:public"],
        deps = in_order(deps + [
            "//csrc/kernels/common:cuda_stream",
            "//csrc/kernels/common:parallel",
            "//csrc/kernels/common:status",
        ]),
    )
    cc_library(
        name = name + "_cpu",
        srcs = [name + "_cpu.cc"],
        visibility = ["//visibility:public"],
        deps = in_order(cpu_deps + [":" + name]),
    )
