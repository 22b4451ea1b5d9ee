"""The Python toolchain: the machine's CPython behind an empty virtual environment."""

load("//third_party/private:refused_toolchain.bzl", "refused_build")
load("//third_party/python:interpreter.bzl", "PYTHON_VERSION", "look_for_python")

_RUNTIME = """\
load("@bazel_tools//tools/python:toolchain.bzl", "py_runtime_pair")

py_runtime(
    name = "runtime",
    bootstrap_template = "{bootstrap}",
    files = ["venv/pyvenv.cfg"],
    interpreter = "venv/bin/python3",
    python_version = "PY3",
    stub_shebang = "#!{python} -IB",
)

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = ":runtime",
    visibility = ["//visibility:public"],
)
"""

_TOOLCHAIN = """
toolchain(
    name = "toolchain",
    toolchain = ":runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
    visibility = ["//visibility:public"],
)
"""

def _write_environment(repository_ctx, python):
    # An environment without packages: programs see the locked ones on PYTHONPATH and the standard
    # library, never the machine's site-packages or the user's.
    repository_ctx.symlink(python, "venv/bin/python3")
    home = repository_ctx.path(python).dirname
    repository_ctx.file(
        "venv/pyvenv.cfg",
        "home = %s\ninclude-system-site-packages = false\nversion = %s\n" % (home, PYTHON_VERSION),
        executable = False,
    )

def _python_repository_impl(repository_ctx):
    python, why = look_for_python(repository_ctx)
    if why:
        # No failure yet: every build looks here, and most targets are no Python programs.
        build = refused_build("runtime_pair", why)
    else:
        _write_environment(repository_ctx, python)
        build = _RUNTIME.format(bootstrap = repository_ctx.attr.bootstrap, python = python)
    repository_ctx.file("BUILD.bazel", build + _TOOLCHAIN, executable = False)

python_repository = repository_rule(
    implementation = _python_repository_impl,
    doc = """Makes a toolchain of the machine's CPython 3.11, cut off from the machine's packages.

Where there is none, that is an error for Python programs alone.""",
    attrs = {
        "bootstrap": attr.label(
            default = Label("//tools/py:bootstrap.py.template"),
            doc = "The template of the script that starts a program.",
        ),
    },
    environ = ["STABLEKV_PYTHON"],
    local = True,
)
