"""The GPU architectures of the build, as a C++ source: what the library can say of itself."""

load("//tools/cuda:defs.bzl", "CudaArchsInfo")

_SOURCE = """\
// Generated from --//tools/cuda:archs.
#include "{header}"

namespace stablekv {{

const char* BuiltCudaArchs() {{ return "{archs}"; }}

}}  // namespace stablekv
"""

def _built_cuda_archs_impl(ctx):
    source = ctx.actions.declare_file(ctx.label.name + ".cc")
    ctx.actions.write(source, _SOURCE.format(
        archs = ",".join(ctx.attr.archs[CudaArchsInfo].codes),
        header = ctx.label.package + "/built_archs.h",
    ))
    return [DefaultInfo(files = depset([source]))]

# A macro would reach every CUDA compile, and nvcc cuts its value at each comma.
built_cuda_archs = rule(
    implementation = _built_cuda_archs_impl,
    doc = "Writes the source of `BuiltCudaArchs()`, which built_archs.h beside it declares.",
    attrs = {
        "archs": attr.label(
            doc = "The build setting.",
            mandatory = True,
            providers = [CudaArchsInfo],
        ),
    },
)
