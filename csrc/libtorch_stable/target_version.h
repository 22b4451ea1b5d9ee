// The oldest torch that the library runs on, checked against the headers it is built with.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_TARGET_VERSION_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_TARGET_VERSION_H_

#include <torch/headeronly/version.h>

// Comes from the build, so that no source can be compiled without it: with no target, everything in
// the headers is visible and the library silently needs their torch.
#ifndef TORCH_TARGET_VERSION
#error "compile with -DTORCH_TARGET_VERSION=0x020A000000000000ULL (torch 2.10)"
#endif

// Headers that do not know the target yet accept it all the same, and hide nothing.
static_assert(TORCH_TARGET_VERSION <= TORCH_ABI_VERSION,
              "TORCH_TARGET_VERSION is newer than the torch headers");
// "0x0210..." reads like 2.10 and means 2.16.
static_assert((TORCH_TARGET_VERSION >> 56) == 2 && (TORCH_TARGET_VERSION >> 48 & 0xff) == 10,
              "the library promises torch 2.10; see docs/abi.md before you change it");

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_TARGET_VERSION_H_
