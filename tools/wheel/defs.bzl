"""Wheels: `python_wheel` packs one, `installed_wheel` installs it for tests."""

load("//tools/wheel/private:installed_wheel.bzl", _installed_wheel = "installed_wheel")
load("//tools/wheel/private:python_wheel.bzl", _python_wheel = "python_wheel")

installed_wheel = _installed_wheel

def python_wheel(name, **kwargs):
    """Packs a wheel into a folder of its own, `bazel-bin/<package>/<name>/`: docs/wheel.md.

    Args:
      name: of the target and of the folder.
      **kwargs: the rule's attributes, but for `stamped`.
    """
    _python_wheel(
        name = name,
        stamped = select({
            Label("//tools/wheel:stamped"): True,
            "//conditions:default": False,
        }),
        **kwargs
    )
