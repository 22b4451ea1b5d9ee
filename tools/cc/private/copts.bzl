"""Compiler and linker options."""

COPTS = [
    "-std=c++17",
    "-Wall",
    "-Wextra",
    "-fvisibility=hidden",
] + select({
    Label("//tools/cc:debug"): [],
    # Also where no -c opt was asked for: a kernel at -O0 helps nobody.
    "//conditions:default": ["-O2"],
})

# Paths of the build must not end up in messages or in the file.
EXTENSION_COPTS = [
    "-ffile-prefix-map=$(BINDIR)/=",
    "-ffile-prefix-map=external/=",
]

EXTENSION_LINKOPTS = [
    # Exceptions cross into torch: there must be one C++ runtime, the process's.
    "-shared-libgcc",
    "-Wl,-z,relro,-z,now",
    # Archives' symbols (the CUDA runtime's among them) are not ours to export.
    "-Wl,--exclude-libs,ALL",
]
