"""Options for sources compiled once for each vector unit that a CPU may have."""

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

# Elsewhere the sources compile to nothing.
AVX2_COPTS = select({
    "@platforms//cpu:x86_64": _AVX2,
    "//conditions:default": [],
})

AVX512_COPTS = select({
    "@platforms//cpu:x86_64": _AVX512,
    "//conditions:default": [],
})
