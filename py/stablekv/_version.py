"""The version of the package; MODULE.bazel says the same."""

__version__ = "0.1.0"
