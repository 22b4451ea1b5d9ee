"""What only the tests of the consumer workspaces read."""

load("//tests/consumer/private:modules_repository.bzl", "modules_repository")
load("//tests/consumer/private:sources_repository.bzl", "sources_repository")
load("//third_party/python:defs.bzl", "wheels_repository")

# buildifier: disable=unnamed-macro
def consumer_test_repositories():
    """Declares the sources as a stranger gets them, and what stands in for a network."""
    sources_repository(name = "stablekv_consumer_sources")
    modules_repository(name = "stablekv_consumer_modules")
    wheels_repository(
        name = "stablekv_consumer_wheels",
        lock = "//tests/consumer:own_pins/requirements.lock",
    )
