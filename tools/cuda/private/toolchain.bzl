"""CUDA toolchains: a toolkit, or the word that there is none."""

load(":providers.bzl", "CudaToolchainInfo")

def _cuda_toolchain_impl(ctx):
    return platform_common.ToolchainInfo(
        cuda = CudaToolchainInfo(
            archs = ctx.attr.archs,
            compiler = depset(transitive = [target.files for target in ctx.attr.compiler]),
            enabled = True,
            include = ctx.file.include,
            newest_gcc = ctx.attr.newest_gcc,
            nvcc = ctx.file.nvcc,
            runtime = ctx.attr.runtime,
            version = ctx.attr.version,
        ),
    )

cuda_toolchain = rule(
    implementation = _cuda_toolchain_impl,
    doc = "A CUDA toolkit as a toolchain.",
    attrs = {
        "archs": attr.string_list(
            doc = "What may follow `sm_` and `compute_`: `90`, `90a`, ...",
            mandatory = True,
        ),
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
        "newest_gcc": attr.int(
            doc = "The newest GCC, by major version, that nvcc takes as its host compiler.",
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
        "version": attr.string(doc = "The release, `13.0`.", mandatory = True),
    },
)

def _disabled_cuda_toolchain_impl(_ctx):
    return platform_common.ToolchainInfo(
        cuda = CudaToolchainInfo(
            archs = [],
            compiler = depset(),
            enabled = False,
            include = None,
            newest_gcc = 0,
            nvcc = None,
            runtime = None,
            version = "",
        ),
    )

disabled_cuda_toolchain = rule(
    implementation = _disabled_cuda_toolchain_impl,
    doc = "The toolchain of a build without CUDA: CUDA targets are skipped.",
)
