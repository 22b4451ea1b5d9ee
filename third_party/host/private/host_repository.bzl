"""What the machine gives to a build, looked at when a build starts."""

load("//third_party/python:interpreter.bzl", "find_python")

_BUILD = """\
load("{definitions}", "host_toolchain")

host_toolchain(
    name = "host",
    compiler = "{compiler}",
    gcc = {gcc},
)

toolchain(
    name = "toolchain",
    toolchain = ":host",
    toolchain_type = "{toolchain_type}",
    visibility = ["//visibility:public"],
)
"""

def _host_repository_impl(repository_ctx):
    result = repository_ctx.execute(
        [
            find_python(repository_ctx),
            "-B",
            "-I",
            repository_ctx.path(repository_ctx.attr._check),
        ],
    )
    if result.return_code != 0:
        fail("stablekv cannot be built on this machine: " + result.stderr.strip())
    host = json.decode(result.stdout)
    repository_ctx.file(
        "BUILD.bazel",
        _BUILD.format(
            compiler = host["compiler"],
            definitions = str(Label("//tools/cc:defs.bzl")),
            gcc = host["gcc"],
            toolchain_type = str(Label("//tools/cc:host_toolchain_type")),
        ),
        executable = False,
    )

host_repository = repository_rule(
    implementation = _host_repository_impl,
    doc = """Checks C library, compiler and linker of the machine, and tells rules the compiler's version.

As a registered toolchain it is looked at by every build, anew when Bazel's server starts. With
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
