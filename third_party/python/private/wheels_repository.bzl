"""The wheels of a lock as they are, in one folder."""

load("//third_party/python:fetch_failed.bzl", "fail_fetch")
load("//third_party/python:interpreter.bzl", "find_python")

_BUILD = """\
filegroup(
    name = "wheels",
    srcs = glob(["wheels/*.whl"]),
    visibility = ["//visibility:public"],
)
"""

def _wheels_repository_impl(repository_ctx):
    python = find_python(repository_ctx)
    lock = repository_ctx.path(repository_ctx.attr.lock)
    for file in [lock, repository_ctx.attr._fetch, repository_ctx.attr._fetch_wheels]:
        repository_ctx.watch(file)
    repository_ctx.report_progress("fetching wheels with pip")
    result = repository_ctx.execute(
        [
            python,
            "-B",
            "-I",
            repository_ctx.path(repository_ctx.attr._fetch_wheels),
            "--lock=%s" % lock,
            "--wheels=wheels",
        ],
        timeout = 3600,
        quiet = False,
    )
    if result.return_code != 0:
        fail_fetch(repository_ctx, "wheels")
    repository_ctx.file("BUILD.bazel", _BUILD, executable = False)

wheels_repository = repository_rule(
    implementation = _wheels_repository_impl,
    doc = """Fetches the wheels of a lock and leaves them packed.

The folder `wheels` is one that STABLEKV_WHEELHOUSE can name.""",
    attrs = {
        "lock": attr.label(
            allow_single_file = True,
            doc = "A requirements file: every package, transitive dependencies included, pinned by version and sha256.",
            mandatory = True,
        ),
        "_fetch": attr.label(
            default = Label("//third_party/python/private:fetch.py"),
            doc = "The program that asks pip.",
        ),
        "_fetch_wheels": attr.label(
            default = Label("//third_party/python/private:fetch_wheels.py"),
            doc = "The program that leaves the wheels packed.",
        ),
    },
    environ = ["STABLEKV_PIP", "STABLEKV_PYTHON", "STABLEKV_WHEELHOUSE"],
)
