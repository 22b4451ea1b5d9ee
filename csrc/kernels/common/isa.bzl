"""Options for sources compiled once for each vector unit that a CPU may have."""

AVX2_COPTS = [
    "-mavx2",
    "-mf16c",
    "-mfma",
]

AVX512_COPTS = AVX2_COPTS + [
    "-mavx512bw",
    "-mavx512dq",
    "-mavx512f",
    "-mavx512vl",
]
