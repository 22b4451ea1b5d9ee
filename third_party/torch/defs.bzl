"""The repository rule that makes libtorch a dependency of C++ targets, and what says its version."""

load("//third_party/torch/private:torch_repository.bzl", _torch_repository = "torch_repository")
load("//third_party/torch/private:torch_version.bzl", _TorchVersionInfo = "TorchVersionInfo", _torch_version = "torch_version")

TorchVersionInfo = _TorchVersionInfo
torch_repository = _torch_repository
torch_version = _torch_version
