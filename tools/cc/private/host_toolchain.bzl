"""The machine's compiler, for rules that have to know its version."""

HostCompilerInfo = provider(
    doc = "The compiler that the machine gives.",
    fields = {
        "gcc": "The major version of a GCC; 0 for another compiler.",
        "path": "Where it is.",
    },
)

def _host_toolchain_impl(ctx):
    return platform_common.ToolchainInfo(
        host = HostCompilerInfo(gcc = ctx.attr.gcc, path = ctx.attr.compiler),
    )

host_toolchain = rule(
    implementation = _host_toolchain_impl,
    doc = "What is known of the machine's compiler, as a toolchain.",
    attrs = {
        "compiler": attr.string(doc = "Where it is.", mandatory = True),
        "gcc": attr.int(
            doc = "The major version of a GCC; 0 for another compiler.",
            mandatory = True,
        ),
    },
)
