"""What stands in for a toolchain that the machine cannot give."""

def _refused_toolchain_impl(ctx):
    fail("%s. What the machine gives is looked at anew when Bazel's server starts (bazel shutdown)." % (
        ctx.attr.why.rstrip(".\n")
    ))

refused_toolchain = rule(
    implementation = _refused_toolchain_impl,
    doc = "Fails where a target needs it, and nowhere else: other targets of the same build do not pay.",
    attrs = {
        "why": attr.string(doc = "What is missing, and what helps.", mandatory = True),
    },
)
