"""The repositories of stablekv for MODULE.bazel."""

load("//third_party/private:declare.bzl", "declare_repositories")

_LOCK = {
    "lock": attr.label(
        doc = "A requirements file: every package, transitive dependencies included, pinned by version and sha256.",
        mandatory = True,
    ),
}

def _stablekv_impl(module_ctx):
    locks = {}
    for module in module_ctx.modules:
        if not module.is_root:
            continue
        for kind in ["pip", "cuda"]:
            tags = getattr(module.tags, kind)
            if len(tags) > 1:
                fail("stablekv.%s: %d locks, wanted one" % (kind, len(tags)))
            if tags:
                locks[kind + "_lock"] = tags[0].lock
    declare_repositories(**locks)

stablekv = module_extension(
    implementation = _stablekv_impl,
    doc = """Makes `torch` and the repositories whose names begin with stablekv_.

The root module's tags alone count: there is one torch and one CUDA in a build.""",
    tag_classes = {
        "cuda": tag_class(attrs = _LOCK, doc = "A lock of your own for the CUDA wheels."),
        "pip": tag_class(attrs = _LOCK, doc = "A lock of your own for the Python packages, torch included."),
    },
)
