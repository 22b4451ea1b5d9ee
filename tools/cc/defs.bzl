"""C++ targets: the one place that names the native rules, so that a later Bazel changes one file."""

load("//tools/cc/private:compile_fails_test.bzl", _compile_fails_test = "compile_fails_test")
load("//tools/cc/private:copts.bzl", "COPTS", "EXTENSION_COPTS", "EXTENSION_LINKOPTS")
load("//tools/cc/private:host_toolchain.bzl", _host_toolchain = "host_toolchain")
load("//tools/cc/private:stripped_library.bzl", _stripped_library = "stripped_library")
load("//tools/cc/private:torch_target.bzl", _torch_target = "torch_target")
load("//tools/cc/private:version_script.bzl", "version_script")

compile_fails_test = _compile_fails_test
host_toolchain = _host_toolchain
stripped_library = _stripped_library
torch_target = _torch_target

def cc_library(name, copts = [], **kwargs):
    """A C++ library with the house's compiler options.

    Args:
      name: of the target.
      copts: further compiler options.
      **kwargs: what the native rule takes.
    """

    # Symbols are hidden, so there is no use in a shared library of each target.
    native.cc_library(name = name, copts = COPTS + copts, linkstatic = True, **kwargs)

def cc_binary(name, copts = [], **kwargs):
    """A C++ program with the house's compiler options.

    Args:
      name: of the target.
      copts: further compiler options.
      **kwargs: what the native rule takes.
    """
    native.cc_binary(name = name, copts = COPTS + copts, **kwargs)

def cc_test(name, copts = [], size = "small", **kwargs):
    """A C++ test: a program whose exit code is not 0 when a check fails.

    Args:
      name: of the target.
      copts: further compiler options.
      size: how long it may take, in Bazel's words.
      **kwargs: what the native rule takes.
    """
    native.cc_test(name = name, copts = COPTS + copts, linkstatic = True, size = size, **kwargs)

def cc_shared_extension(
        name,
        exports = None,
        copts = [],
        linkopts = [],
        additional_linker_inputs = [],
        visibility = None,
        **kwargs):
    """A library for torch.ops.load_library, `<name>.so`: no Python ABI, only what it exports on purpose.

    Args:
      name: of the target and of the file, without `.so`.
      exports: the only symbols to export. If not given, weak C++ template symbols are exported too,
        so that the loader can merge them across libraries.
      copts: further compiler options.
      linkopts: further linker options.
      additional_linker_inputs: files that the linker options name.
      visibility: of the target.
      **kwargs: what cc_binary takes: srcs, deps, local_defines, ...
    """
    library = name + ".so"

    # What says whether a target is built holds for all of them.
    shared = {
        attribute: kwargs[attribute]
        for attribute in ["tags", "target_compatible_with", "testonly"]
        if attribute in kwargs
    }
    if exports != None:
        script = name + "_exports"
        version_script(
            name = script,
            exports = exports,
            visibility = ["//visibility:private"],
            **shared
        )
        additional_linker_inputs = additional_linker_inputs + [script]
        linkopts = linkopts + ["-Wl,--version-script=$(execpath %s)" % script]
    native.cc_binary(
        name = library,
        additional_linker_inputs = additional_linker_inputs,
        copts = COPTS + EXTENSION_COPTS + copts,
        linkopts = EXTENSION_LINKOPTS + ["-Wl,-soname," + library] + linkopts,
        linkshared = True,
        visibility = visibility,
        **kwargs
    )
    native.alias(
        name = name,
        actual = library,
        visibility = visibility,
        **shared
    )
