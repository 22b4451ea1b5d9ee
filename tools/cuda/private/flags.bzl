"""Build settings: whether there is CUDA, and which release of it."""

def _bool_flag_impl(_ctx):
    return []

bool_flag = rule(
    implementation = _bool_flag_impl,
    doc = "A boolean build setting, for config_setting to read.",
    build_setting = config.bool(flag = True),
)

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
