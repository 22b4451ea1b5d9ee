"""Python targets: the one place that names the native rules."""

def py_library(name, **kwargs):
    """A Python library; takes what the native rule takes."""
    native.py_library(name = name, **kwargs)

def py_binary(name, **kwargs):
    """A Python program on the pinned interpreter packages."""
    native.py_binary(
        name = name,
        # An __init__.py in every folder of the runfiles would make packages of folders that are none.
        legacy_create_init = 0,
        python_version = "PY3",
        **kwargs
    )

def py_test(name, size = "small", **kwargs):
    """A Python test on the pinned interpreter packages."""
    native.py_test(
        name = name,
        size = size,
        legacy_create_init = 0,
        python_version = "PY3",
        **kwargs
    )
