"""A test that passes when a source does not compile, for the reason that is expected."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "CPP_TOOLCHAIN_TYPE", "find_cpp_toolchain", "use_cpp_toolchain")

# The compiler's outcome is an output like another: a failed compile does not fail the build.
_COMPILE = """
log="$1"; shift
if "$@" > "$log" 2>&1; then echo "THE SOURCE COMPILED" > "$log"; fi
"""

_CHECK = """#!/bin/sh
if grep -qE -- '{message}' '{log}'; then exit 0; fi
echo "wanted a compile error that matches: {message}"
echo "got:"
cat '{log}'
exit 1
"""

def _compile_fails_test_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(ctx = ctx, cc_toolchain = toolchain)
    context = cc_common.merge_compilation_contexts(
        compilation_contexts = [dep[CcInfo].compilation_context for dep in ctx.attr.deps],
    )
    variables = cc_common.create_compile_variables(
        cc_toolchain = toolchain,
        feature_configuration = features,
        include_directories = context.includes,
        quote_include_directories = context.quote_includes,
        # Those of other repositories are external ones with --features=external_include_paths.
        system_include_directories = depset(
            transitive = [context.system_includes, context.external_includes],
        ),
        preprocessor_defines = depset(
            ctx.attr.local_defines,
            transitive = [context.defines],
        ),
        user_compile_flags = ["-std=c++17"],
    )
    action = ACTION_NAMES.cpp_compile
    compiler = cc_common.get_tool_for_action(feature_configuration = features, action_name = action)
    flags = cc_common.get_memory_inefficient_command_line(
        feature_configuration = features,
        action_name = action,
        variables = variables,
    )
    log = ctx.actions.declare_file(ctx.label.name + ".log")
    arguments = ctx.actions.args()
    arguments.add_all([log.path, compiler])
    arguments.add_all(flags)
    arguments.add_all(["-fsyntax-only", ctx.file.src.path])
    ctx.actions.run_shell(
        arguments = [arguments],
        command = _COMPILE,
        env = {"PATH": "/usr/bin:/bin"},
        inputs = depset([ctx.file.src], transitive = [context.headers, toolchain.all_files]),
        mnemonic = "CompileFails",
        outputs = [log],
        toolchain = CPP_TOOLCHAIN_TYPE,
    )
    script = ctx.actions.declare_file(ctx.label.name + ".sh")
    ctx.actions.write(
        script,
        _CHECK.format(log = log.short_path, message = ctx.attr.message),
        is_executable = True,
    )
    return [DefaultInfo(executable = script, runfiles = ctx.runfiles(files = [log]))]

compile_fails_test = rule(
    implementation = _compile_fails_test_impl,
    doc = "Passes when `src` does not compile against `deps` and the error matches `message`.",
    attrs = {
        "deps": attr.label_list(doc = "What the source may include.", providers = [CcInfo]),
        "local_defines": attr.string_list(doc = "Macros for the source."),
        "message": attr.string(
            doc = "An extended regular expression without single quotes.",
            mandatory = True,
        ),
        "src": attr.label(
            allow_single_file = [".cc"],
            doc = "The source that must not compile.",
            mandatory = True,
        ),
        "_cc_toolchain": attr.label(
            default = "@bazel_tools//tools/cpp:current_cc_toolchain",
            doc = "The C++ toolchain.",
        ),
    },
    fragments = ["cpp"],
    test = True,
    toolchains = use_cpp_toolchain(),
)
