"""The modules that every Bazel module depends on, for a Bazel that cannot ask a registry."""

# Folders of these are in the Bazel that runs, or fetched by it.
_MODULES = [
    "bazel_features",
    "bazel_skylib",
    "platforms",
    "rules_cc",
    "rules_java",
    "rules_license",
    "rules_proto",
    "rules_python",
]

# Dependencies of Bazel's own tools that no C++ or Python target touches: their names are enough.
_EMPTY_MODULES = {
    "apple_support": "",
    "buildozer": "buildozer_binary",
    "protobuf": "",
    "zlib": "",
}

_EXTENSION = """\
{name} = module_extension(implementation = lambda _module_ctx: None)
"""

def _modules_repository_impl(repository_ctx):
    folders = {}
    for name in _MODULES:
        folder = repository_ctx.path(Label("@%s//:MODULE.bazel" % name)).dirname
        folders[name] = str(folder.realpath)
    for name, extension in _EMPTY_MODULES.items():
        repository_ctx.file(
            "empty/%s/MODULE.bazel" % name,
            "module(name = \"%s\")\n" % name,
            executable = False,
        )
        repository_ctx.file("empty/%s/BUILD.bazel" % name, executable = False)
        if extension:
            repository_ctx.file(
                "empty/%s/%s.bzl" % (name, extension),
                _EXTENSION.format(name = extension),
                executable = False,
            )
        folders[name] = str(repository_ctx.path("empty/" + name))
    repository_ctx.file("modules.json", json.encode(folders) + "\n", executable = False)
    repository_ctx.file("BUILD.bazel", """\
exports_files(
    ["modules.json"],
    visibility = ["//visibility:public"],
)
""", executable = False)

modules_repository = repository_rule(
    implementation = _modules_repository_impl,
    configure = True,
    doc = "Writes `modules.json`: the folder of each module for --override_module.",
    local = True,
)
