"""A shared library without what only a debugger reads."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "CPP_TOOLCHAIN_TYPE", "find_cpp_toolchain", "use_cpp_toolchain")

def _stripped_library_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(ctx = ctx, cc_toolchain = toolchain)
    strip = cc_common.get_tool_for_action(
        action_name = ACTION_NAMES.strip,
        feature_configuration = features,
    )
    source, out = ctx.file.src, ctx.outputs.out

    # A debug build keeps its symbols: it was asked for because of them.
    debug = ctx.var["COMPILATION_MODE"] == "dbg"
    ctx.actions.run_shell(
        arguments = [source.path, out.path, strip],
        command = "cp -- \"$1\" \"$2\"" if debug else "\"$3\" --strip-all -o \"$2\" \"$1\"",
        env = {"PATH": "/usr/bin:/bin"},
        inputs = depset([source], transitive = [toolchain.all_files]),
        mnemonic = "StripLibrary",
        outputs = [out],
        toolchain = CPP_TOOLCHAIN_TYPE,
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

stripped_library = rule(
    implementation = _stripped_library_impl,
    doc = "Copies a shared library and leaves symbols and debug sections out, but not in -c dbg.",
    attrs = {
        "out": attr.output(doc = "Where to.", mandatory = True),
        "src": attr.label(allow_single_file = True, doc = "The library.", mandatory = True),
        "_cc_toolchain": attr.label(
            default = "@bazel_tools//tools/cpp:current_cc_toolchain",
            doc = "The C++ toolchain.",
        ),
    },
    fragments = ["cpp"],
    toolchains = use_cpp_toolchain(),
)
