"""CUDA rules: `cuda_library` compiles .cu files with the pinned nvcc, `cuda_test` is a test of some."""

load("//tools/cuda/private:archs_file.bzl", _cuda_archs_file = "cuda_archs_file")
load("//tools/cuda/private:cuda_library.bzl", _cuda_library = "cuda_library")
load("//tools/cuda/private:cuda_test.bzl", _cuda_test = "cuda_test")
load("//tools/cuda/private:providers.bzl", _CudaArchsInfo = "CudaArchsInfo", _CudaToolchainInfo = "CudaToolchainInfo")
load("//tools/cuda/private:toolchain.bzl", _cuda_toolchain = "cuda_toolchain", _disabled_cuda_toolchain = "disabled_cuda_toolchain")

CudaArchsInfo = _CudaArchsInfo
CudaToolchainInfo = _CudaToolchainInfo
cuda_archs_file = _cuda_archs_file
cuda_toolchain = _cuda_toolchain
disabled_cuda_toolchain = _disabled_cuda_toolchain
cuda_library = _cuda_library
cuda_test = _cuda_test
