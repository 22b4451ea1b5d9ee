"""GPU architectures: what can be written, and what nvcc is told."""

load(":providers.bzl", "CudaArchsInfo")

# What nvcc 13.0 compiles for. The suffix `a` (one architecture) and `f` (its family) unlock
# instructions that code for later GPUs cannot have.
SUPPORTED_ARCHS = [
    "75",
    "80",
    "86",
    "87",
    "88",
    "89",
    "90",
    "90a",
    "100",
    "100a",
    "100f",
    "103",
    "103a",
    "103f",
    "110",
    "110a",
    "110f",
    "120",
    "120a",
    "120f",
    "121",
    "121a",
    "121f",
]

# `release` is what a published library carries; its last entry also runs on later GPUs.
NAMED_SETS = {
    "release": ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120+ptx"],
}

def _gencodes_of(arch):
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
    return gencodes if number in SUPPORTED_ARCHS else None

def parse_archs(archs, where):
    """Turns a list of architectures into nvcc's options.

    Args:
      archs: strings: `sm_90a` (machine code), `compute_100` (PTX), `sm_80+ptx` (both), or the name
        of a set.
      where: what to name in an error: a flag or a target.

    Returns:
      A CudaArchsInfo.
    """
    entries = []
    for arch in archs:
        entries.extend(NAMED_SETS.get(arch, [arch]))
    gencodes = []
    for entry in entries:
        parsed = _gencodes_of(entry)
        if parsed == None:
            fail("%s: unknown GPU architecture %r. Write sm_N (machine code), compute_N (PTX) or sm_N+ptx " % (
                where,
                entry,
            ) + "with N one of %s, or a named set: %s." % (
                ", ".join(SUPPORTED_ARCHS),
                ", ".join(NAMED_SETS),
            ))
        gencodes.extend([gencode for gencode in parsed if gencode not in gencodes])
    if not gencodes:
        fail("%s: no GPU architecture. To build without CUDA: --config=nocuda." % where)
    return CudaArchsInfo(archs = archs, gencodes = gencodes)

def _cuda_archs_flag_impl(ctx):
    return parse_archs(
        [arch.strip() for arch in ctx.build_setting_value if arch.strip()],
        "--%s" % ctx.label,
    )

cuda_archs_flag = rule(
    implementation = _cuda_archs_flag_impl,
    doc = "The build setting that says which GPUs to compile for.",
    build_setting = config.string_list(flag = True),
)
