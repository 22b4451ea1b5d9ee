// torch's thread pool for CPU kernels.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_PARALLEL_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_PARALLEL_H_

#include <cstdint>

namespace stablekv {

// A ParallelFor (csrc/kernels/common/parallel.h) on the threads that torch.set_num_threads counts.
// Should a body throw in spite of its contract, the first exception is rethrown here, on the
// calling thread, when all ranges are done.
void TorchParallelFor(int64_t begin, int64_t end, int64_t grain,
                      void (*body)(int64_t begin, int64_t end, void* context), void* context);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_PARALLEL_H_
