#include "csrc/ops/indexer_k_quant_and_cache.h"

#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

void IndexerKQuantAndCache(const Tensor& k, const Tensor& kv_cache, const Tensor& slot_mapping,
                           int64_t quant_block_size, const StringArg& kv_cache_dtype) {
  const IndexerKQuantAndCacheArgs args{
      InputArg("k", k),
      OutputArg("kv_cache", kv_cache),
      InputArg("slot_mapping", slot_mapping),
      quant_block_size,
      kv_cache_dtype,
  };
  IndexerKQuantAndCacheParams params;
  ThrowIfError(PrepareIndexerKQuantAndCache(args, &params));
  if (params.num_tokens == 0) return;
  Launch(
      "indexer_k_quant_and_cache", args.k.device,
      [&](ParallelFor parallel_for) { return IndexerKQuantAndCacheCpu(params, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckSlotsInCheckedMode(params, stream));
        return IndexerKQuantAndCacheCuda(params, stream);
      });
}

}  // namespace stablekv
