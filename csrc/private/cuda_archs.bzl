"""The GPU architectures of the build, as a macro for what the library says about itself."""

load("//tools/cuda:defs.bzl", "CudaArchsInfo")

def _cuda_archs_define_impl(ctx):
    # "arch=compute_90a,code=sm_90a" -> "sm_90a"
    codes = [gencode.rpartition("=")[2] for gencode in ctx.attr.archs[CudaArchsInfo].gencodes]
    defines = ["STABLEKV_CUDA_ARCHS=" + ",".join(codes)]
    return CcInfo(
        compilation_context = cc_common.create_compilation_context(defines = depset(defines)),
    )

cuda_archs_define = rule(
    implementation = _cuda_archs_define_impl,
    doc = "Defines STABLEKV_CUDA_ARCHS, `sm_90a,compute_120`, for targets that depend on it.",
    attrs = {
        "archs": attr.label(mandatory = True, providers = [CudaArchsInfo]),
    },
    provides = [CcInfo],
)
