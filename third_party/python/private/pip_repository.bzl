"""Hash-locked Python packages, fetched by pip, one target a package."""

load("//third_party/python:fetch_failed.bzl", "fail_fetch")
load("//third_party/python:interpreter.bzl", "find_python")

_HEADER = """\
# Generated from {lock}.
package(default_visibility = ["//visibility:public"])

exports_files(glob(["site/**"]))

# What the wheels are for: they were fetched for the machine, and it is one of these.
_PLATFORM = {platform}
"""

_PLATFORM = [
    Label("@platforms//cpu:x86_64"),
    Label("@platforms//os:linux"),
]

# Top-level folders are single inputs: a test's runfiles hold a link to `torch`, not its 12,000 files.
_PACKAGE = """
py_library(
    name = "{target}",
    data = {data},
    imports = {imports},
    tags = ["version={version}"],
    target_compatible_with = _PLATFORM,
    deps = {deps},
)
"""

def _files_of(repository_ctx, folder):
    entries = repository_ctx.path("site/" + folder).readdir()
    return ["site/%s/%s" % (folder, entry.basename) for entry in entries]

def _pip_repository_impl(repository_ctx):
    python = find_python(repository_ctx)
    lock = repository_ctx.path(repository_ctx.attr.lock)
    for file in [lock, repository_ctx.attr._fetch]:
        repository_ctx.watch(file)
    repository_ctx.report_progress("fetching the packages of %s with pip" % lock.basename)
    result = repository_ctx.execute(
        [
            python,
            "-B",
            "-I",
            repository_ctx.path(repository_ctx.attr._fetch),
            "--title=" + repository_ctx.name,
            "--lock=%s" % lock,
            "--site=site",
            "--packages=packages.json",
        ],
        timeout = 3600,
        quiet = False,
    )
    if result.return_code != 0:
        fail_fetch(repository_ctx, "packages")
    build = _HEADER.format(
        lock = repository_ctx.attr.lock,
        platform = [str(label) for label in _PLATFORM],
    )
    for target, package in json.decode(repository_ctx.read("packages.json")).items():
        folders = package["folders"]
        data = [file for folder in folders for file in _files_of(repository_ctx, folder)]
        build += _PACKAGE.format(
            data = sorted(data),
            deps = [":" + required for required in package["requires"]],
            imports = ["site/" + folder for folder in folders],
            target = target,
            version = package["version"],
        )
    repository_ctx.file("BUILD.bazel", build, executable = False)

pip_repository = repository_rule(
    implementation = _pip_repository_impl,
    doc = """Fetches the packages of a lock by name through pip, with hashes required.

pip uses the package index that the machine is configured with. With STABLEKV_WHEELHOUSE set to a
folder of wheels, it uses only that folder. Each package becomes a `py_library` named after it, in
lower case, with underscores, that depends on what its metadata requires, as far as the lock has
it. A lock is for one Python on one system: extras and conditions are refused.""",
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
    },
    # Not those that say where pip and the wheels are: the hashes say what they are.
    environ = ["STABLEKV_PYTHON"],
)
