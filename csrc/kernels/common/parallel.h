// How CPU kernels use the cores: the caller hands in a parallel-for, so that a kernel shares the
// thread pool of the program it runs in and starts no threads of its own.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_PARALLEL_H_
#define STABLEKV_CSRC_KERNELS_COMMON_PARALLEL_H_

#include <cstdint>
#include <type_traits>

namespace stablekv {

// Runs `body(begin, end, context)` over disjoint ranges that cover [begin, end), each of at least
// `grain` items where possible, and returns when all are done. Bodies do not throw.
using ParallelFor = void (*)(int64_t begin, int64_t end, int64_t grain,
                             void (*body)(int64_t begin, int64_t end, void* context),
                             void* context);

// A ParallelFor on the calling thread.
inline void SerialFor(int64_t begin, int64_t end, int64_t /*grain*/,
                      void (*body)(int64_t, int64_t, void*), void* context) {
  if (begin < end) body(begin, end, context);
}

// Calls `function(begin, end)` through `parallel_for`; for callers that hold a lambda.
template <typename Function>
void RunParallel(ParallelFor parallel_for, int64_t size, int64_t grain, Function&& function) {
  using Body = std::remove_reference_t<Function>;
  parallel_for(
      0, size, grain,
      [](int64_t begin, int64_t end, void* context) { (*static_cast<Body*>(context))(begin, end); },
      const_cast<void*>(static_cast<const void*>(&function)));
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_PARALLEL_H_
