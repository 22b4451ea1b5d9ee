// The time that fetching a cache's pages takes, without computing anything.
#ifndef STABLEKV_BENCHMARKS_CUDA_GATHER_LIMIT_H_
#define STABLEKV_BENCHMARKS_CUDA_GATHER_LIMIT_H_

#include <cstdint>
#include <functional>

#include "csrc/kernels/attention/paged_attention.h"

namespace stablekv::bench {

// Microseconds of bringing all blocks of all sequences into shared memory, block by block and head
// by head as the block tables say, by bulk copies: the best of several ways to share the work.
// `params_of(copy)` is one of `copies` equal inputs. Needs sm_90; NaN without.
double MicrosecondsOfGathering(int64_t copies,
                               const std::function<PagedAttentionParams(int64_t)>& params_of);

}  // namespace stablekv::bench

#endif  // STABLEKV_BENCHMARKS_CUDA_GATHER_LIMIT_H_
