"""The repository rule for a CUDA toolkit made of wheels."""

load("//third_party/cuda/private:cuda_repository.bzl", _cuda_repository = "cuda_repository")

cuda_repository = _cuda_repository
