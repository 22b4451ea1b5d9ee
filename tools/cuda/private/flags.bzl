"""The build setting that says which release of CUDA."""

def _version_flag_impl(ctx):
    version = ctx.build_setting_value
    if version not in ctx.attr.versions:
        fail("--%s: no CUDA release %r. There are: %s." % (
            ctx.label,
            version,
            ", ".join(ctx.attr.versions),
        ))
    return []

version_flag = rule(
    implementation = _version_flag_impl,
    doc = "The build setting that chooses a CUDA release.",
    attrs = {
        "versions": attr.string_list(doc = "What can be asked for.", mandatory = True),
    },
    build_setting = config.string(flag = True),
)
