"""The CUDA releases that can be asked for by `--//tools/cuda:version`."""

# Beside the default one, @stablekv_cuda, which those who depend on this repository may replace. A
# release is its lock, one line here, and its repository's name in MODULE.bazel's use_repo; it is
# fetched when a build asks for it.
CUDA_LOCKS = {
    "13.0": Label("//third_party/cuda:cuda-13.0.lock"),
    "13.5": Label("//third_party/cuda:cuda-13.5.lock"),
}

def cuda_repository_name(version):
    """Returns the name of the repository of a release: 13.5 -> stablekv_cuda_13_5."""
    return "stablekv_cuda_" + version.replace(".", "_")
