"""The oldest torch that a library is for, as a macro that torch's headers read."""

load("//third_party/torch:defs.bzl", "TorchVersionInfo")

# torch's first release whose stable headers read the macro.
_OLDEST_MINOR = 9

_HOST_TOOLCHAIN_TYPE = Label("//tools/cc:host_toolchain_type")

def _hex_byte(number):
    return "%s%s" % ("0" if number < 16 else "", "%X" % number)

def _torch_target_impl(ctx):
    parts = ctx.attr.version.split(".")
    if len(parts) != 2 or not all([part.isdigit() for part in parts]):
        fail("%s: version = %r: wanted a torch release without its patch number, like \"2.10\"" % (
            ctx.label,
            ctx.attr.version,
        ))
    major, minor = int(parts[0]), int(parts[1])
    if major != 2 or minor < _OLDEST_MINOR:
        fail("%s: version = %r: the stable ABI begins with torch 2.%d" % (
            ctx.label,
            ctx.attr.version,
            _OLDEST_MINOR,
        ))
    headers = ctx.attr._torch[TorchVersionInfo]
    if (major, minor) > (headers.major, headers.minor):
        fail("%s: version = %r is newer than the torch headers, which are of %s" % (
            ctx.label,
            ctx.attr.version,
            headers.text,
        ))
    target = "0x%s%s000000000000ULL" % (_hex_byte(major), _hex_byte(minor))
    return CcInfo(
        compilation_context = cc_common.create_compilation_context(
            defines = depset(["TORCH_TARGET_VERSION=" + target]),
        ),
    )

torch_target = rule(
    implementation = _torch_target_impl,
    doc = """Defines TORCH_TARGET_VERSION for targets that depend on it.

With it torch's stable headers hide what is newer than the version, so a library that compiles runs
on that torch and every later one. A version newer than the headers is refused.""",
    attrs = {
        "version": attr.string(
            doc = "The oldest torch that the library is for, like `2.10`.",
            mandatory = True,
        ),
        "_torch": attr.label(
            default = Label("@torch//:version"),
            doc = "The version of the headers.",
            providers = [TorchVersionInfo],
        ),
    },
    provides = [CcInfo],
    # Not read: a machine that is refused is so before torch's headers meet its compiler.
    toolchains = [config_common.toolchain_type(_HOST_TOOLCHAIN_TYPE, mandatory = False)],
)
