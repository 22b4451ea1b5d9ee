"""This repository as a stranger gets it, and what it takes to start a Bazel inside a test."""

# What a dependent's build reads, the consumer workspaces themselves, and the launcher.
_FOLDERS = ["csrc", "py", "tests/consumer", "third_party", "tools"]
_FILES = [".bazelversion", "BUILD.bazel", "MODULE.bazel", "WORKSPACE", "bazelw"]

# What ./bazelw goes by, besides its own files. A test has none of it in its environment.
_ENVIRONMENT = ["HOME", "PATH", "STABLEKV_BAZEL", "XDG_CACHE_HOME"]

_BUILD = """\
exports_files(
    ["environment.json", "sources.tar"],
    visibility = ["//visibility:public"],
)
"""

def _sources_repository_impl(repository_ctx):
    root = repository_ctx.path(Label("//:WORKSPACE")).dirname
    for folder in _FOLDERS:
        repository_ctx.watch_tree(root.get_child(folder))
    for file in _FILES:
        repository_ctx.watch(root.get_child(file))
    result = repository_ctx.execute(
        [
            "tar",
            "--create",
            "--file=sources.tar",
            "--exclude=__pycache__",
            "--exclude=bazel-*",
            "--sort=name",
            "--format=ustar",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mode=a+rX,u+w,go-w",
            "--directory=%s" % root,
        ] + _FOLDERS + _FILES,
    )
    if result.return_code != 0:
        fail("tar: " + result.stderr)
    environment = {
        name: repository_ctx.os.environ[name]
        for name in _ENVIRONMENT
        if name in repository_ctx.os.environ
    }
    repository_ctx.file("environment.json", json.encode(environment) + "\n", executable = False)
    repository_ctx.file("BUILD.bazel", _BUILD, executable = False)

sources_repository = repository_rule(
    implementation = _sources_repository_impl,
    doc = "Packs the sources of this checkout into `sources.tar`; made anew when one of them changes.",
    environ = _ENVIRONMENT,
)
