"""`cuda_library`: .cu files in, CcInfo out."""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain", "use_cpp_toolchain")
load(":archs.bzl", "parse_archs")
load(":compatibility.bzl", "NEEDS_CUDA", "NO_CUDA")
load(":compile.bzl", "compile_cuda")
load(":providers.bzl", "CudaArchsInfo")

_TOOLCHAIN_TYPE = Label("//tools/cuda:toolchain_type")
_HOST_TOOLCHAIN_TYPE = Label("//tools/cc:host_toolchain_type")
_VERSION = Label("//tools/cuda:version")

def _check_host_compiler(ctx, cuda):
    # nvcc would say it from deep inside a header, once for every source.
    toolchain = ctx.toolchains[_HOST_TOOLCHAIN_TYPE]
    if toolchain and toolchain.host.gcc > cuda.newest_gcc:
        fail("%s: nvcc of CUDA %s takes GCC up to %d as its host compiler, and %s is GCC %d. " % (
            ctx.label,
            cuda.version,
            cuda.newest_gcc,
            toolchain.host.path,
            toolchain.host.gcc,
        ) + "Set CC to an older one, take a newer CUDA (--%s), or none: %s." % (_VERSION, NO_CUDA))

def _roots(ctx):
    """Returns the folders below which the target's repository has its sources and outputs."""
    root = ctx.label.workspace_root
    return [root or ".", ctx.bin_dir.path + ("/" + root if root else "")]

def _object_names(sources):
    """Returns a name for the object of each source: its own, numbered where several have it."""
    names = [source.basename[:-len(".cu")] for source in sources]
    repeated = {name: None for i, name in enumerate(names) if name in names[:i]}
    return ["%d/%s" % (i, name) if name in repeated else name for i, name in enumerate(names)]

def _cuda_library_impl(ctx):
    cuda = ctx.toolchains[_TOOLCHAIN_TYPE].cuda
    if not cuda.enabled:
        fail("%s needs CUDA, and CUDA is disabled (%s)." % (ctx.label, NO_CUDA))
    _check_host_compiler(ctx, cuda)
    cc_toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = cc_toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    own = cc_common.create_compilation_context(
        defines = depset(ctx.attr.defines),
        headers = depset(ctx.files.hdrs),
        quote_includes = depset(_roots(ctx)),
    )
    compilation_context = cc_common.merge_compilation_contexts(
        compilation_contexts = [own] + [dep[CcInfo].compilation_context for dep in ctx.attr.deps],
    )
    archs = ctx.attr._archs[CudaArchsInfo]
    if ctx.attr.archs:
        archs = parse_archs(ctx.attr.archs, str(ctx.label), cuda)
    compiled = [
        compile_cuda(ctx, cuda, cc_toolchain, features, compilation_context, archs, source, name)
        for source, name in zip(ctx.files.srcs, _object_names(ctx.files.srcs))
    ]
    objects = [object for object, _ in compiled]
    linking_contexts = [dep[CcInfo].linking_context for dep in ctx.attr.deps]
    linking_contexts.append(cuda.runtime[CcInfo].linking_context)
    outputs = cc_common.create_compilation_outputs(
        # One set of objects for both: -fPIC costs nothing that is measurable in host code.
        objects = depset(objects),
        pic_objects = depset(objects),
    )
    linking_context, linked = cc_common.create_linking_context_from_compilation_outputs(
        actions = ctx.actions,
        cc_toolchain = cc_toolchain,
        compilation_outputs = outputs,
        disallow_dynamic_library = True,
        feature_configuration = features,
        linking_contexts = linking_contexts,
        name = ctx.label.name,
    )
    library = linked.library_to_link
    archives = [
        archive
        for archive in ([library.static_library, library.pic_static_library] if library else [])
        if archive
    ]
    return [
        # What the dependencies need when they run: a program's runfiles come through here.
        DefaultInfo(
            files = depset(archives),
            runfiles = ctx.runfiles().merge_all([
                dep[DefaultInfo].default_runfiles
                for dep in ctx.attr.deps
            ]),
        ),
        OutputGroupInfo(
            # Lists of what the compiles read, for checks.
            headers = depset([headers for _, headers in compiled]),
            objects = depset(objects),
        ),
        CcInfo(compilation_context = compilation_context, linking_context = linking_context),
    ]

cuda_library_rule = rule(
    implementation = _cuda_library_impl,
    doc = "Compiles CUDA sources into a static library that any C++ target can depend on.",
    attrs = {
        "archs": attr.string_list(
            doc = "GPU architectures of this target, in place of `@stablekv//tools/cuda:archs`.",
        ),
        "copts": attr.string_list(doc = "Options for nvcc, after the default ones."),
        "defines": attr.string_list(doc = "Macros for this target and those that depend on it."),
        "deps": attr.label_list(
            doc = "C++ and CUDA libraries whose headers the sources include.",
            providers = [CcInfo],
        ),
        "hdrs": attr.label_list(
            allow_files = [".h", ".cuh", ".inc"],
            doc = "Headers that the sources and dependents include, by path from the root.",
        ),
        "local_defines": attr.string_list(doc = "Macros for this target alone."),
        "srcs": attr.label_list(
            allow_files = [".cu"],
            doc = "CUDA sources; each is one compile.",
        ),
        "_archs": attr.label(
            default = Label("//tools/cuda:checked_archs"),
            doc = "What `@stablekv//tools/cuda:archs` says.",
            providers = [CudaArchsInfo],
        ),
        "_cc_toolchain": attr.label(
            default = "@bazel_tools//tools/cpp:current_cc_toolchain",
            doc = "The C++ toolchain.",
        ),
    },
    fragments = ["cpp"],
    provides = [CcInfo],
    toolchains = [
        _TOOLCHAIN_TYPE,
        config_common.toolchain_type(_HOST_TOOLCHAIN_TYPE, mandatory = False),
    ] + use_cpp_toolchain(),
)

def cuda_library(
        name,
        srcs = [],
        hdrs = [],
        deps = [],
        archs = [],
        copts = [],
        defines = [],
        local_defines = [],
        target_compatible_with = [],
        **kwargs):
    """Compiles CUDA sources into a static library that any C++ target can depend on.

    In a build without CUDA it is skipped, and whatever needs it. An architecture that the CUDA
    release does not know is refused, with those that it knows.

    Of the C++ toolchain, nvcc takes the compiler and its sysroot. `--copt`, `--cxxopt`, `-c` and
    the toolchain's other options do not reach CUDA sources: they are always optimized. Say options
    in `copts`; `-Xcompiler=` has those for the host code.

    Args:
      name: of the target.
      srcs: CUDA sources (.cu); each is one compile.
      hdrs: headers (.h, .cuh, .inc) that the sources and dependents include, by path from the root.
      deps: C++ and CUDA libraries whose headers the sources include.
      archs: GPU architectures of this target, in place of `@stablekv//tools/cuda:archs`: `sm_90a`
        (machine code), `compute_100` (PTX), `sm_80+ptx` (both), or the name of a set, `release`.
      copts: options for nvcc, after the default ones.
      defines: macros for this target and those that depend on it.
      local_defines: macros for this target alone.
      target_compatible_with: further constraints.
      **kwargs: what every rule takes: visibility, testonly, tags, ...
    """
    cuda_library_rule(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        archs = archs,
        copts = copts,
        defines = defines,
        local_defines = local_defines,
        target_compatible_with = target_compatible_with + NEEDS_CUDA,
        deps = deps,
        **kwargs
    )
