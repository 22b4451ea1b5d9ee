"""Which torch the headers are of, for rules to read."""

TorchVersionInfo = provider(
    doc = "The version of libtorch's headers.",
    fields = {
        "major": "An integer.",
        "minor": "An integer.",
        "text": "As torch says it: `2.13.0+cpu`.",
    },
)

def _torch_version_impl(ctx):
    major, minor = ctx.attr.version.split(".")[:2]
    return TorchVersionInfo(major = int(major), minor = int(minor), text = ctx.attr.version)

torch_version = rule(
    implementation = _torch_version_impl,
    doc = "Says the version of libtorch's headers.",
    attrs = {
        "version": attr.string(doc = "What `torch.__version__` is.", mandatory = True),
    },
    provides = [TorchVersionInfo],
)
