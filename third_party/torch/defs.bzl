"""The repository rule that makes libtorch a dependency of C++ targets."""

load("//third_party/torch/private:torch_repository.bzl", _torch_repository = "torch_repository")

torch_repository = _torch_repository
