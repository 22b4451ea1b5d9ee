"""The action that runs nvcc on one source."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")

_TOOLCHAIN_TYPE = Label("//tools/cuda:toolchain_type")

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

def compile_cuda(ctx, cuda, cc_toolchain, features, compilation_context, archs, source, name):
    """Declares the compile of one source.

    Args:
      ctx: of the rule.
      cuda: the CudaToolchainInfo.
      cc_toolchain: the C++ toolchain, whose compiler nvcc hands the host code to.
      features: the C++ feature configuration.
      compilation_context: headers, include paths and macros of the target and its dependencies.
      archs: the CudaArchsInfo.
      source: the .cu file.
      name: what to call its object, without ending.

    Returns:
      The object file, and a file that lists what the compile reads, as `nvcc -M` does; it is made
      only when somebody asks for it.
    """
    object = ctx.actions.declare_file("_objs/%s/%s.o" % (ctx.label.name, name))
    headers = ctx.actions.declare_file("_objs/%s/%s.d" % (ctx.label.name, name))
    host_compiler = cc_common.get_tool_for_action(
        action_name = ACTION_NAMES.cpp_compile,
        feature_configuration = features,
    )
    inputs = depset(
        [source, cuda.include],
        transitive = [compilation_context.headers, cuda.compiler, cc_toolchain.all_files],
    )

    # nvcc runs the compiler without the options that the C++ toolchain has for it.
    sysroot = ["--sysroot=" + cc_toolchain.sysroot] if cc_toolchain.sysroot else []
    for output, mode, mnemonic, message in [
        (object, ["-c"], "CudaCompile", "Compiling CUDA %s for %s"),
        (headers, ["-M"], "CudaHeaders", "Listing the headers of CUDA %s for %s"),
    ]:
        args = ctx.actions.args()
        args.add("-ccbin", host_compiler)
        args.add_all(mode)
        args.add(source)
        args.add("-o", output)

        # nvcc names what is in an anonymous namespace after the source's absolute path, links followed.
        # The last word counts; with this one the object is the same wherever the tree lies.
        args.add(source.short_path, format = "-Xcudafe=--orig_src_path_name=%s")

        # And, where a source defines templates alone, after the time and the process.
        args.add(object.short_path, format = "-frandom-seed=%s")
        args.add_all(_COPTS)
        args.add_all(sysroot, format_each = "-Xcompiler=%s")
        args.add_all(archs.gencodes, before_each = "-gencode")
        args.add("-isystem", cuda.include)
        args.add_all(compilation_context.includes, before_each = "-I", uniquify = True)
        args.add_all(compilation_context.quote_includes, before_each = "-I", uniquify = True)
        args.add_all(compilation_context.system_includes, before_each = "-isystem", uniquify = True)

        # Where --features=external_include_paths has put the folders of other repositories.
        args.add_all(compilation_context.external_includes, before_each = "-isystem", uniquify = True)
        args.add_all(compilation_context.defines, format_each = "-D%s")
        args.add_all(ctx.attr.local_defines, format_each = "-D%s")
        args.add_all(ctx.attr.copts)
        ctx.actions.run(
            arguments = [args],
            # Nothing of the caller's environment: nvcc would follow CUDA_HOME, NVCC_APPEND_FLAGS, ...
            env = {"PATH": "/usr/bin:/bin"},
            executable = cuda.nvcc,
            inputs = inputs,
            mnemonic = mnemonic,
            outputs = [output],
            progress_message = message % (source.short_path, ",".join(archs.archs)),
            # Whose platform it runs on, with --incompatible_auto_exec_groups.
            toolchain = _TOOLCHAIN_TYPE,
        )
    return object, headers
