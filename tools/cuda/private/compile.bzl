"""The action that runs nvcc on one source."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")

# Host warnings are left to the C++ compiler's own targets: nvcc's generated code is not ours.
_COPTS = [
    "-std=c++17",
    "-O3",
    "-Xcompiler=-fPIC,-fvisibility=hidden,-fno-strict-aliasing",
    "--expt-relaxed-constexpr",
    "-Wno-deprecated-gpu-targets",
    # Temporary files go beside the object: names in /tmp, made of process ids, can clash.
    "--objdir-as-tempdir",
]

def compile_cuda(ctx, cuda, cc_toolchain, features, compilation_context, archs, source):
    """Declares the compile of one source and returns its object file.

    Args:
      ctx: of the rule.
      cuda: the CudaToolchainInfo.
      cc_toolchain: the C++ toolchain, whose compiler nvcc hands the host code to.
      features: the C++ feature configuration.
      compilation_context: headers, include paths and macros of the target and its dependencies.
      archs: the CudaArchsInfo.
      source: the .cu file.

    Returns:
      The object file.
    """
    name = source.basename[:-len(".cu")]
    output = ctx.actions.declare_file("_objs/%s/%s.o" % (ctx.label.name, name))
    host_compiler = cc_common.get_tool_for_action(
        action_name = ACTION_NAMES.cpp_compile,
        feature_configuration = features,
    )
    args = ctx.actions.args()
    args.add("-ccbin", host_compiler)
    args.add("-c", source)
    args.add("-o", output)
    args.add_all(_COPTS)
    args.add_all(archs.gencodes, before_each = "-gencode")
    args.add("-isystem", cuda.include)
    args.add_all(compilation_context.includes, before_each = "-I", uniquify = True)
    args.add_all(compilation_context.quote_includes, before_each = "-I", uniquify = True)
    args.add_all(compilation_context.system_includes, before_each = "-isystem", uniquify = True)
    args.add_all(compilation_context.defines, format_each = "-D%s")
    args.add_all(ctx.attr.local_defines, format_each = "-D%s")
    args.add_all(ctx.attr.copts)
    ctx.actions.run(
        arguments = [args],
        # Nothing of the caller's environment: nvcc would follow CUDA_HOME, NVCC_APPEND_FLAGS, ...
        env = {"PATH": "/usr/bin:/bin"},
        executable = cuda.nvcc,
        inputs = depset(
            [source, cuda.include],
            transitive = [compilation_context.headers, cuda.compiler, cc_toolchain.all_files],
        ),
        mnemonic = "CudaCompile",
        outputs = [output],
        progress_message = "Compiling CUDA %s for %s" % (source.short_path, ",".join(archs.archs)),
    )
    return output
