"""A test that runs a Bazel of its own in one of the consumer workspaces."""

load("//tools/py:defs.bzl", "py_test")

# The repository, and a file of it that its BUILD file exports.
_FETCHED = {
    "cuda": ("stablekv_cuda", "@stablekv_cuda//:bin/nvcc"),
    "pip": ("stablekv_pip", "@stablekv_pip//:site/torch/torch/version.py"),
}

def consumer_test(name, workspace, commands, refused = {}, fetched = [], wheels = None, modules = None):
    """Unpacks the sources, and runs the commands in the workspace, without a network.

    Args:
      name: of the target.
      workspace: the folder of the workspace, below tests/consumer.
      commands: what to tell Bazel: `test //...`; each must succeed.
      refused: what to tell Bazel after that, and words that it must refuse it with.
      fetched: which of this build's own repositories, "pip" and "cuda", stand in for a fetch: the
        same rule made them of the same lock, and a fetch takes minutes.
      wheels: a target of wheels; the workspace fetches from their folder what it still fetches.
      modules: the modules.json of a modules_repository.
    """
    data = [
        "@stablekv_consumer_sources//:environment.json",
        "@stablekv_consumer_sources//:sources.tar",
    ]
    args = [
        "--environment=$(rootpath %s)" % data[0],
        "--sources=$(rootpath %s)" % data[1],
        "--workspace=tests/consumer/" + workspace,
    ]
    for kind in fetched:
        repository, file = _FETCHED[kind]
        data.append(file)
        args.append("--fetched=%s=$(rootpath %s)" % (repository, file))
    if "pip" in fetched:
        data.append("@stablekv_pip//:torch")
    if "cuda" in fetched:
        data.append("@stablekv_cuda//:compiler")
    if wheels:
        data.append(wheels)
        args.append("--wheels $(rootpaths %s)" % wheels)
    if modules:
        data.append(modules)
        args.append("--modules=$(rootpath %s)" % modules)
    for command, words in refused.items():
        args.append("--refused '%s' '%s'" % (command, words))
    py_test(
        name = name,
        size = "large",
        timeout = "eternal",
        srcs = ["//tests/consumer:run_workspace.py"],
        args = args + ["'--command=%s'" % command for command in commands],
        data = data,
        main = "//tests/consumer:run_workspace.py",
        # The inner Bazel uses both cores.
        tags = ["cpu:2"],
        target_compatible_with = select({
            "//tools/cuda:is_enabled": [],
            "//conditions:default": ["@platforms//:incompatible"],
        }) if "cuda" in fetched else [],
    )
