"""A library as it is with another CUDA release than the rest of the build."""

_FLAG = str(Label("//tools/cuda:version"))

def _choose_impl(_settings, attr):
    return {_FLAG: attr.version}

_choose = transition(
    implementation = _choose_impl,
    inputs = [],
    outputs = [_FLAG],
)

def _with_cuda_version_impl(ctx):
    library = ctx.actions.declare_file(ctx.label.name + ".so")
    ctx.actions.symlink(output = library, target_file = ctx.files.library[0])
    return [DefaultInfo(files = depset([library]), runfiles = ctx.runfiles(files = [library]))]

with_cuda_version = rule(
    implementation = _with_cuda_version_impl,
    doc = "Builds `library` with --//tools/cuda:version=`version`.",
    attrs = {
        "library": attr.label(cfg = _choose, doc = "A shared library.", mandatory = True),
        "version": attr.string(doc = "A value of the flag.", mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
            doc = "What Bazel asks of a rule with a transition.",
        ),
    },
)
