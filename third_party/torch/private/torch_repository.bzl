"""libtorch's headers, split by what they promise, and libraries to link against."""

# Folders of torch/include that each target may see. A header outside of them does not exist for the
# target's compiler, sandbox or not: every target has an include root of its own.
_HEADER_ONLY = ["torch/headeronly"]
_STABLE = [
    "torch/csrc/inductor/aoti_torch/c",
    "torch/csrc/inductor/aoti_torch/generated",
    "torch/csrc/stable",
]

def _version_of(text, path):
    for line in text.split("\n"):
        name, _, value = line.partition("=")
        if name.strip() == "__version__":
            return value.strip().strip("'\"")
    fail("%s does not say __version__ = '...': not the version.py of a torch wheel" % path)

def _torch_repository_impl(repository_ctx):
    version_file = repository_ctx.path(repository_ctx.attr.torch)
    version = _version_of(repository_ctx.read(version_file), version_file)
    include = version_file.dirname.get_child("include")
    if not include.exists:
        fail("%s has no include folder beside it: not the torch of a wheel" % version_file)
    for root, folders in [("headeronly", _HEADER_ONLY), ("stable", _STABLE)]:
        for folder in folders:
            repository_ctx.symlink("%s/%s" % (include, folder), "%s/%s" % (root, folder))
    repository_ctx.symlink("%s/torch/version.h" % include, "stable/torch/version.h")
    repository_ctx.symlink(include, "unstable")
    repository_ctx.symlink(repository_ctx.attr._empty, "empty.c")
    repository_ctx.template(
        "BUILD.bazel",
        repository_ctx.attr._build,
        {
            "%{definitions}": str(Label("//third_party/torch:defs.bzl")),
            "%{version}": version,
        },
        executable = False,
    )

torch_repository = repository_rule(
    implementation = _torch_repository_impl,
    doc = """Makes `:headeronly`, `:stable`, `:libtorch_unstable` and `:version` of an installed torch.

Only headers are taken from the wheel. What links is a stub that carries the name of torch's
library: the program's own torch provides the symbols when it loads.""",
    attrs = {
        "torch": attr.label(
            doc = "`torch/version.py` in a repository that holds an unpacked torch wheel.",
            mandatory = True,
        ),
        "_build": attr.label(
            default = Label("//third_party/torch/private:BUILD.torch.bazel"),
            doc = "The repository's BUILD file.",
        ),
        "_empty": attr.label(
            default = Label("//third_party/torch/private:empty.c"),
            doc = "The source of the stub.",
        ),
    },
)
