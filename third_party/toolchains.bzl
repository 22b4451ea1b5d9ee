"""The toolchains of stablekv: the second of the two calls in a WORKSPACE."""

# buildifier: disable=unnamed-macro
def stablekv_toolchains():
    """Registers what is known of the machine, its CPython 3.11, and CUDA of every release and of none.

    The Python toolchain is that of all Python targets of the workspace, but for one that was
    registered before the call.
    """
    native.register_toolchains(
        "@stablekv_host//:toolchain",
        "@stablekv_python//:toolchain",
        str(Label("//tools/cuda:all")),
    )
