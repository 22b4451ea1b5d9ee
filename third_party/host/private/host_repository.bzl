"""What the machine gives to a build, looked at when a build starts."""

load("//third_party/private:refused_toolchain.bzl", "refused_build")
load("//third_party/python:interpreter.bzl", "look_for_python")

_HOST = """\
load("{definitions}", "host_toolchain")

host_toolchain(
    name = "host",
    compiler = {compiler},
    gcc = {gcc},
    visibility = ["//visibility:public"],
)
"""

_TOOLCHAIN = """
toolchain(
    name = "toolchain",
    toolchain = ":host",
    toolchain_type = "{toolchain_type}",
    visibility = ["//visibility:public"],
)
"""

def _look_at_host(repository_ctx):
    """Returns what is known of the compiler, or None, and else why nothing can be built here."""
    python, why = look_for_python(repository_ctx)
    if why:
        return None, why
    check = repository_ctx.path(repository_ctx.attr._check)
    repository_ctx.watch(check)
    result = repository_ctx.execute([python, "-B", "-I", check])
    if result.return_code != 0:
        return None, "stablekv cannot be built on this machine: " + result.stderr.strip()
    return json.decode(result.stdout), None

def _host_repository_impl(repository_ctx):
    host, why = _look_at_host(repository_ctx)
    if why:
        # No failure yet: every build looks here, and most may need nothing of ours.
        build = refused_build("host", why)
    else:
        build = _HOST.format(
            compiler = repr(host["compiler"]),
            definitions = str(Label("//tools/cc:defs.bzl")),
            gcc = host["gcc"],
        )
    build += _TOOLCHAIN.format(toolchain_type = str(Label("//tools/cc:host_toolchain_type")))
    repository_ctx.file("BUILD.bazel", build, executable = False)

host_repository = repository_rule(
    implementation = _host_repository_impl,
    doc = """Checks C library, compiler and linker of the machine, and tells rules the compiler's version.

As a registered toolchain it is looked at by every build, anew when Bazel's server starts. A machine
that is refused is an error for the targets that need it alone. With
BAZEL_DO_NOT_DETECT_CPP_TOOLCHAIN=1, for those who bring their own C++ toolchain, the compiler is
not looked at.""",
    attrs = {
        "_check": attr.label(
            default = Label("//third_party/host/private:check.py"),
            doc = "The program that looks at the machine.",
        ),
    },
    environ = ["BAZEL_DO_NOT_DETECT_CPP_TOOLCHAIN", "CC", "PATH", "STABLEKV_PYTHON"],
    local = True,
)
