"""What stands in for a toolchain that the machine cannot give."""

_BUILD = """\
load("{definitions}", "refused_toolchain")

refused_toolchain(
    name = "{name}",
    visibility = ["//visibility:public"],
    why = {why},
)
"""

def refused_build(name, why):
    """Returns the BUILD text of a toolchain that is refused, for a repository that looked for it."""
    return _BUILD.format(
        name = name,
        definitions = str(Label("//third_party/private:refused_toolchain.bzl")),
        why = repr(why),
    )

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
