"""Switches of a build: --//package:name."""

def _bool_flag_impl(_ctx):
    return []

bool_flag = rule(
    implementation = _bool_flag_impl,
    doc = "A boolean build setting, for config_setting to read.",
    build_setting = config.bool(flag = True),
)
