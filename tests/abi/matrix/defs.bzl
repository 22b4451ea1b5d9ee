"""The cells of the torch matrix: one test for a release of torch and a version of Python."""

load("//tools/py:defs.bzl", "py_test")

def torch_matrix(name, cells):
    """A test for each release and Python, by the name of its lock, and a suite of them all.

    Args:
      name: of the suite.
      cells: a dictionary from a torch, "2.10", to the Pythons it is tested with, ["3.10", "3.11"].
    """
    native.test_suite(
        name = name,
        tests = [_cell(torch, python) for torch, pythons in cells.items() for python in pythons],
    )

def _cell(release, python):
    name = "torch-%s-cp%s" % (release, python.replace(".", ""))
    lock = "//third_party/torch/matrix:%s.lock" % name
    fetch = "//third_party/python/private:fetch.py"
    package = "//:package"
    py_test(
        name = name,
        size = "enormous",
        srcs = ["cell_main.py"],
        args = [
            "--release=" + release,
            "--python=" + python,
            "--lock=$(rootpath %s)" % lock,
            "--package=$(rootpath %s)" % package,
            "--fetch=$(rootpath %s)" % fetch,
        ],
        data = [fetch, lock, package],
        main = "cell_main.py",
        tags = [
            "exclusive",  # one release on the disk at a time
            "requires-network",
        ],
        target_compatible_with = select({
            ":is_enabled": [],
            "//conditions:default": ["@platforms//:incompatible"],
        }),
        deps = [":cell"],
    )
    return name
