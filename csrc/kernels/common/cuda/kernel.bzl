"""The CUDA target of a kernel, beside the two of csrc/kernels/common/kernel.bzl."""

load("//csrc/kernels/common:kernel.bzl", "in_order")
load("//tools/cuda:defs.bzl", "cuda_library")

def cuda_kernel(name, deps = [], srcs = None, hdrs = []):
    """NAME_cuda: the CUDA entry point that NAME.h of the package above declares, in NAME.cu.

    Args:
      name: the kernel.
      deps: what the sources need besides that header and what launches a kernel.
      srcs: the sources where there are more than NAME.cu.
      hdrs: headers of the sources' own.
    """
    package = native.package_name().removesuffix("/cuda")
    cuda_library(
        name = name + "_cuda",
        srcs = srcs or [name + ".cu"],
        hdrs = hdrs,
        visibility = ["//visibility:public"],
        deps = in_order(deps + [
            "//%s:%s" % (package, name),
            "//csrc/kernels/common/cuda:launch",
            "//csrc/kernels/common/cuda:launch_config",
        ]),
    )
