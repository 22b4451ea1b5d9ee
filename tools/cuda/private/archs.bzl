"""GPU architectures: what can be written, and what nvcc is told.

The suffix `a` (one architecture) and `f` (its family) unlock instructions that code for later GPUs
cannot have.
"""

load(":compatibility.bzl", "NO_CUDA")
load(":providers.bzl", "CudaArchsInfo")

_TOOLCHAIN_TYPE = Label("//tools/cuda:toolchain_type")

# `release` is what a published library carries; its last entry also runs on later GPUs. Code for a
# family (sm_100f) runs wherever that for its first member (sm_100) does, and may use its fp4
# instruction.
NAMED_SETS = {
    "release": ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100f", "sm_120f", "compute_120"],
}

def _gencodes_of(arch, supported):
    """Returns the `-gencode` values of one entry, or None when it is not understood."""
    name, plus, suffix = arch.partition("+")
    if plus and suffix != "ptx":
        return None
    if name.startswith("sm_"):
        number = name[len("sm_"):]
        gencodes = ["arch=compute_{0},code=sm_{0}".format(number)]
        if plus:
            gencodes.append("arch=compute_{0},code=compute_{0}".format(number))
    elif name.startswith("compute_") and not plus:
        number = name[len("compute_"):]
        gencodes = ["arch=compute_{0},code=compute_{0}".format(number)]
    else:
        return None
    return gencodes if number in supported else None

def _check_families(codes, where):
    """Fails where nvcc would: it gives the code of sm_100 and of sm_100f one name."""
    for code in codes:
        if code.startswith("sm_") and code + "f" in codes:
            fail("%s: %s and %sf in one list: the code of the second runs wherever that of the first does. " % (
                where,
                code,
                code,
            ) + "Leave out one; the named sets hold: %s." % ", ".join([
                "%s = %s" % (name, ",".join(archs))
                for name, archs in NAMED_SETS.items()
            ]))

def parse_archs(archs, where, cuda):
    """Turns a list of architectures into nvcc's options.

    Args:
      archs: strings: `sm_90a` (machine code), `compute_100` (PTX), `sm_80+ptx` (both), or the name
        of a set.
      where: what to name in an error: a flag or a target.
      cuda: the CudaToolchainInfo, which knows what nvcc compiles for.

    Returns:
      A CudaArchsInfo.
    """
    entries = []
    for arch in archs:
        entries.extend(NAMED_SETS.get(arch, [arch]))
    gencodes = []
    for entry in entries:
        parsed = _gencodes_of(entry, cuda.archs)
        if parsed == None:
            fail("%s: unknown GPU architecture %r. Write sm_N (machine code), compute_N (PTX) or sm_N+ptx " % (
                where,
                entry,
            ) + "with N one of %s, or a named set: %s. CUDA %s compiles for no other." % (
                ", ".join(cuda.archs),
                ", ".join(NAMED_SETS),
                cuda.version,
            ))
        gencodes.extend([gencode for gencode in parsed if gencode not in gencodes])
    codes = [gencode.rpartition("=")[2] for gencode in gencodes]
    _check_families(codes, where)
    if not gencodes:
        fail("%s: no GPU architecture. To build without CUDA: %s." % (where, NO_CUDA))
    return CudaArchsInfo(archs = archs, codes = codes, gencodes = gencodes)

_RequestInfo = provider("What the flag says, as it is written.", fields = {"archs": "Strings."})

def _cuda_archs_flag_impl(ctx):
    # A build setting sees no toolchain, so `checked_archs` is what looks at the words.
    return _RequestInfo(archs = [arch.strip() for arch in ctx.build_setting_value if arch.strip()])

cuda_archs_flag = rule(
    implementation = _cuda_archs_flag_impl,
    doc = "The build setting that says which GPUs to compile for.",
    build_setting = config.string_list(flag = True),
)

def _checked_archs_impl(ctx):
    cuda = ctx.toolchains[_TOOLCHAIN_TYPE].cuda
    if not cuda.enabled:
        return CudaArchsInfo(archs = [], codes = [], gencodes = [])
    return parse_archs(ctx.attr.flag[_RequestInfo].archs, "--%s" % ctx.attr.flag.label, cuda)

checked_archs = rule(
    implementation = _checked_archs_impl,
    doc = "The architectures of a flag, if the CUDA release that is in use compiles for them.",
    attrs = {
        "flag": attr.label(
            doc = "The build setting.",
            mandatory = True,
            providers = [_RequestInfo],
        ),
    },
    provides = [CudaArchsInfo],
    toolchains = [_TOOLCHAIN_TYPE],
)
