"""The GPU architectures that were asked for, as a file: for what compares them with what came out."""

load(":archs.bzl", "parse_archs")
load(":compatibility.bzl", "NEEDS_CUDA")
load(":providers.bzl", "CudaArchsInfo")

_TOOLCHAIN_TYPE = Label("//tools/cuda:toolchain_type")

def _cuda_archs_file_impl(ctx):
    archs = ctx.attr._archs[CudaArchsInfo]
    if ctx.attr.archs:
        archs = parse_archs(ctx.attr.archs, str(ctx.label), ctx.toolchains[_TOOLCHAIN_TYPE].cuda)
    output = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(output, json.encode(archs.codes))
    return [DefaultInfo(files = depset([output]), runfiles = ctx.runfiles(files = [output]))]

_cuda_archs_file = rule(
    implementation = _cuda_archs_file_impl,
    doc = "A JSON list of the code that a library has to hold: `[\"sm_80\", \"compute_80\"]`.",
    attrs = {
        "archs": attr.string_list(
            doc = "As for cuda_library; without it, what `@stablekv//tools/cuda:archs` says.",
        ),
        "_archs": attr.label(
            default = Label("//tools/cuda:checked_archs"),
            doc = "What `@stablekv//tools/cuda:archs` says.",
            providers = [CudaArchsInfo],
        ),
    },
    toolchains = [_TOOLCHAIN_TYPE],
)

def cuda_archs_file(name, archs = [], target_compatible_with = [], **kwargs):
    """A JSON list of the code that a library has to hold; skipped in a build without CUDA.

    Args:
      name: of the target; the file is `<name>.json`.
      archs: as for cuda_library; without it, what `@stablekv//tools/cuda:archs` says.
      target_compatible_with: further constraints.
      **kwargs: what every rule takes.
    """
    _cuda_archs_file(
        name = name,
        archs = archs,
        target_compatible_with = target_compatible_with + NEEDS_CUDA,
        **kwargs
    )
