"""CUDA toolchains: a toolkit, or the word that there is none."""

load(":providers.bzl", "CudaToolchainInfo")

def _cuda_toolchain_impl(ctx):
    return platform_common.ToolchainInfo(
        cuda = CudaToolchainInfo(
            compiler = depset(transitive = [target.files for target in ctx.attr.compiler]),
            enabled = True,
            include = ctx.file.include,
            nvcc = ctx.file.nvcc,
            runtime = ctx.attr.runtime,
        ),
    )

cuda_toolchain = rule(
    implementation = _cuda_toolchain_impl,
    doc = "A CUDA toolkit as a toolchain.",
    attrs = {
        "compiler": attr.label_list(
            allow_files = True,
            cfg = "exec",
            doc = "The files that nvcc runs with.",
        ),
        "include": attr.label(
            allow_single_file = True,
            doc = "The folder of CUDA's headers.",
            mandatory = True,
        ),
        "nvcc": attr.label(
            allow_single_file = True,
            cfg = "exec",
            doc = "The nvcc executable.",
            mandatory = True,
        ),
        "runtime": attr.label(
            doc = "The CUDA runtime that every CUDA target links.",
            mandatory = True,
            providers = [CcInfo],
        ),
    },
)

def _disabled_cuda_toolchain_impl(_ctx):
    return platform_common.ToolchainInfo(
        cuda = CudaToolchainInfo(
            compiler = depset(),
            enabled = False,
            include = None,
            nvcc = None,
            runtime = None,
        ),
    )

disabled_cuda_toolchain = rule(
    implementation = _disabled_cuda_toolchain_impl,
    doc = "The toolchain of a build without CUDA: CUDA targets are skipped.",
)
