"""Tests that pytest runs."""

load(":defs.bzl", "py_test")

def pytest_test(name, srcs, deps = [], args = [], **kwargs):
    """Runs pytest over the test files.

    `--test_filter=EXPRESSION` becomes pytest's `-k`; `shard_count` splits the test cases. A
    target of which they leave no case passes; without them, that is a failure. pytest is that of
    @stablekv_pip: a lock of your own has to name it.

    Args:
      name: of the target.
      srcs: test files.
      deps: Python libraries.
      args: further arguments for pytest.
      **kwargs: what py_test takes.
    """
    main = Label("//tools/py:pytest_main.py")
    py_test(
        name = name,
        srcs = srcs + [main],
        args = ["$(rootpath %s)" % src for src in srcs] + args,
        main = main,
        # A label, not words: the dependent may have another name for it, or none.
        deps = deps + [Label("@stablekv_pip//:pytest")],
        **kwargs
    )
