// What reading alone takes on the CPU: the limit that a kernel's time is held against.
#ifndef STABLEKV_BENCHMARKS_CPU_READ_LIMIT_H_
#define STABLEKV_BENCHMARKS_CPU_READ_LIMIT_H_

#include <cstdint>
#include <vector>

namespace stablekv::bench {

// One way to read memory: `bytes` bytes, a multiple of 64 KiB, from `from` on.
struct ReadLoop {
  const char* name;
  void (*read)(const uint8_t* from, int64_t bytes);
};

// Those that this machine can run.
std::vector<ReadLoop> ReadLoops();

}  // namespace stablekv::bench

#endif  // STABLEKV_BENCHMARKS_CPU_READ_LIMIT_H_
