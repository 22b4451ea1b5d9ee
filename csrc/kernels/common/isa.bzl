"""Sources compiled once for each vector unit that a CPU may have."""

load("//tools/cc:defs.bzl", "cc_library")

_AVX2 = [
    "-mavx2",
    "-mf16c",
    "-mfma",
]

_AVX512 = _AVX2 + [
    "-mavx512bw",
    "-mavx512dq",
    "-mavx512f",
    "-mavx512vl",
]

_AVX512_VBMI = _AVX512 + ["-mavx512vbmi"]

_AMX = _AVX512_VBMI + [
    "-mamx-bf16",
    "-mamx-tile",
]

# Elsewhere the sources compile to nothing.
_COPTS = {
    "amx": select({
        "@platforms//cpu:x86_64": _AMX,
        "//conditions:default": [],
    }),
    "avx2": select({
        "@platforms//cpu:x86_64": _AVX2,
        "//conditions:default": [],
    }),
    "avx512": select({
        "@platforms//cpu:x86_64": _AVX512,
        "//conditions:default": [],
    }),
    "avx512_vbmi": select({
        "@platforms//cpu:x86_64": _AVX512_VBMI,
        "//conditions:default": [],
    }),
    "portable": [],
}

ALL_ISAS = ["portable", "avx2", "avx512"]

# Enumerators of VecFormat.
VEC_FORMATS = [
    "kFloat32",
    "kFloat16",
    "kBFloat16",
    "kFp8E4M3",
    "kFp8E5M2",
]

# What a vector unit has code of its own for, if not for all: UnitFor in vec_ISA.h.
_FORMATS = {
    "avx512_vbmi": [
        "kFp8E4M3",
        "kFp8E5M2",
    ],
}

def cc_library_for_each_isa(name, stem, deps, isas = ALL_ISAS, copts = [], formats = []):
    """A library of STEM_ISA_cpu.cc for each ISA, with the vectors of vec_ISA.h, and one of them all.

    Args:
      name: of the library of all of them.
      stem: the first words of the sources' names.
      deps: what all of them need besides.
      isas: the vector units.
      copts: of all of them, besides those of the vector unit.
      formats: where a source is to be compiled once for each, with that one as STABLEKV_FORMAT.
    """
    names = []
    for isa in isas:
        source = "%s_%s_cpu" % (stem, isa)
        for format in [f for f in formats if f in _FORMATS.get(isa, formats)] or [None]:
            library = source + "_" + format if format else source
            names.append(library)
            cc_library(
                name = library,
                srcs = [source + ".cc"],
                copts = _COPTS[isa] + copts,
                local_defines = ["STABLEKV_FORMAT=" + format] if format else [],
                deps = deps + ["//csrc/kernels/common:vec_" + isa],
            )
    cc_library(
        name = name,
        deps = [":" + library for library in names],
    )
