"""The toolchains of stablekv: the second of the two calls in a WORKSPACE."""

# buildifier: disable=unnamed-macro
def stablekv_toolchains():
    """Registers what is known of the machine, the pinned Python and the CUDA toolchains (of every release, and the disabled one)."""
    native.register_toolchains(
        "@stablekv_host//:toolchain",
        "@stablekv_python//:toolchain",
        str(Label("//tools/cuda:all")),
    )
