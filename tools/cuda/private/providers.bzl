"""What the CUDA rules tell each other."""

CudaArchsInfo = provider(
    doc = "The GPU architectures to compile for.",
    fields = {
        "archs": "The list as written: `sm_90a`, `compute_100`, `sm_80+ptx`, or a named set.",
        "codes": "What comes of it: `sm_90a`, `compute_100`, in the order of `gencodes`.",
        "gencodes": "nvcc's `-gencode` values, in order, each once.",
    },
)

CudaToolchainInfo = provider(
    doc = "A CUDA toolkit.",
    fields = {
        "archs": "A list of what may follow `sm_` and `compute_`: `90`, `90a`, ...",
        "compiler": "A depset of the files that nvcc runs with.",
        "enabled": "Whether there is a compiler; false for the disabled toolchain.",
        "include": "The folder of CUDA's headers.",
        "newest_gcc": "The newest GCC, by major version, that nvcc takes as its host compiler.",
        "nvcc": "The nvcc executable.",
        "runtime": "The static CUDA runtime, as a target with CcInfo.",
        "version": "The release, `13.0`.",
    },
)
