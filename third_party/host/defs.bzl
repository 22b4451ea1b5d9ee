"""The repository rule that looks at what the machine itself gives to a build."""

load("//third_party/host/private:host_repository.bzl", _host_repository = "host_repository")

host_repository = _host_repository
