"""Switches of a build: --//package:name."""

def _bool_flag_impl(_ctx):
    return []

bool_flag = rule(
    implementation = _bool_flag_impl,
    doc = "A boolean build setting, for config_setting to read.",
    build_setting = config.bool(flag = True),
)

def _choice_flag_impl(ctx):
    if ctx.build_setting_value not in ctx.attr.choices:
        fail("--%s: %r is none of %s" % (
            ctx.label,
            ctx.build_setting_value,
            ", ".join(ctx.attr.choices),
        ))
    return []

choice_flag = rule(
    implementation = _choice_flag_impl,
    build_setting = config.string(flag = True),
    doc = "A word, for config_setting to read.",
    attrs = {
        "choices": attr.string_list(doc = "The words that are allowed.", mandatory = True),
    },
)
