#include "benchmarks/cpu/read_limit.h"

#include "csrc/kernels/common/cpu_isa.h"

namespace stablekv::bench {
namespace {

// Loads that nothing is done with: assembly, or the compiler would leave them out.
template <int kWidth>
inline void LoadOnly(const uint8_t* from) {
#ifdef __x86_64__
  if constexpr (kWidth == 64) {
    asm volatile("vmovups (%0), %%zmm16" : : "r"(from));  // a register no other code here has
  } else if constexpr (kWidth == 32) {
    asm volatile("vmovups (%0), %%ymm0" : : "r"(from) : "xmm0");
  } else {
    asm volatile("movups (%0), %%xmm0" : : "r"(from) : "xmm0");
  }
#else
  for (int i = 0; i < kWidth; i += 8) {
    uint64_t word = *reinterpret_cast<const uint64_t*>(from + i);
    asm volatile("" : : "r"(word));
  }
#endif
}

// Reads in kStreams places at once; fetches kAhead bytes ahead of the loads, if that is not 0.
template <int kWidth, int kStreams, int64_t kAhead>
void Read(const uint8_t* from, int64_t bytes) {
  constexpr int64_t kStep = 256;
  const int64_t stream_bytes = bytes / kStreams;
  for (int64_t at = 0; at < stream_bytes; at += kStep) {
    for (int s = 0; s < kStreams; ++s) {
      const uint8_t* const place = from + s * stream_bytes + at;
      if (kAhead > 0) {
#pragma GCC unroll 4
        for (int64_t line = 0; line < kStep; line += 64) {
          __builtin_prefetch(place + kAhead + line, 0, 2);
        }
      }
#pragma GCC unroll 16
      for (int64_t i = 0; i < kStep; i += kWidth) LoadOnly<kWidth>(place + i);
    }
  }
#ifdef __x86_64__
  // Or what is timed next, if it is code for 128 bits, has the upper halves to merge with.
  if constexpr (kWidth > 16) asm volatile("vzeroupper");
#endif
}

}  // namespace

std::vector<ReadLoop> ReadLoops() {
  std::vector<ReadLoop> loops = {
      {"16-byte loads", Read<16, 1, 0>},
      {"16-byte loads, 2 streams", Read<16, 2, 0>},
      {"16-byte loads, fetched 4 KiB ahead", Read<16, 1, 4096>},
  };
  if (HasCpuIsa(CpuIsa::kAvx2)) {
    loops.push_back({"32-byte loads", Read<32, 1, 0>});
    loops.push_back({"32-byte loads, 2 streams", Read<32, 2, 0>});
    loops.push_back({"32-byte loads, fetched 4 KiB ahead", Read<32, 1, 4096>});
  }
  if (HasCpuIsa(CpuIsa::kAvx512)) {
    loops.push_back({"64-byte loads", Read<64, 1, 0>});
    loops.push_back({"64-byte loads, 2 streams", Read<64, 2, 0>});
    loops.push_back({"64-byte loads, 4 streams", Read<64, 4, 0>});
    loops.push_back({"64-byte loads, fetched 1 KiB ahead", Read<64, 1, 1024>});
    loops.push_back({"64-byte loads, fetched 4 KiB ahead", Read<64, 1, 4096>});
    loops.push_back({"64-byte loads, fetched 16 KiB ahead", Read<64, 1, 16384>});
    loops.push_back({"64-byte loads, 4 streams, fetched 4 KiB ahead", Read<64, 4, 4096>});
  }
  return loops;
}

}  // namespace stablekv::bench
