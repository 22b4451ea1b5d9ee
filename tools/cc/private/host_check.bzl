"""Refuses a machine that cannot build, where a C++ target of ours is about to be built on it."""

_TOOLCHAIN_TYPE = Label("//tools/cc:host_toolchain_type")

def _host_check_impl(_ctx):
    return CcInfo()

host_check = rule(
    implementation = _host_check_impl,
    doc = "An empty C++ library; it needs what is known of the machine, and so fails where that is refused.",
    provides = [CcInfo],
    toolchains = [config_common.toolchain_type(_TOOLCHAIN_TYPE, mandatory = False)],
)
