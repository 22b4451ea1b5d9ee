#include "csrc/ops/indexer_k_quant_and_cache.h"

#include "csrc/libtorch_stable/launch_to_slots.h"
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
  LaunchToSlots(
      "indexer_k_quant_and_cache", args.k.device, params, &IndexerKQuantAndCacheCpu,
      [](const auto& checked, auto stream) { return IndexerKQuantAndCacheCuda(checked, stream); });
}

}  // namespace stablekv
