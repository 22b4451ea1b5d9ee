"""Repository rules for the Python interpreter and for hash-locked packages."""

load("//third_party/python/private:pip_repository.bzl", _pip_repository = "pip_repository")
load("//third_party/python/private:python_repository.bzl", _python_repository = "python_repository")
load("//third_party/python/private:wheels_repository.bzl", _wheels_repository = "wheels_repository")

pip_repository = _pip_repository
python_repository = _python_repository
wheels_repository = _wheels_repository
