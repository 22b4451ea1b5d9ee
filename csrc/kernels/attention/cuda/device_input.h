// What a DecodeInput has, on the device.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DEVICE_INPUT_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DEVICE_INPUT_H_

#include <cstdint>

#include "csrc/kernels/attention/cuda/decode_case.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {

class DeviceInput {
 public:
  DeviceInput(const DecodeCase& c, const DecodeInput& input)
      : case_(c),
        query_(input.query, c.misalign * input.ElementBytes()),
        key_cache_(input.key_cache, c.misalign * input.CacheBytes()),
        value_cache_(input.value_cache, c.misalign * input.CacheBytes()),
        tables_(input.tables),
        lengths_(c.lengths),
        slopes_(input.slopes),
        scales_(input.scales) {}

  // Everything but `out`. What is not to be read is null.
  void SetPointers(PagedAttentionParams* params) const {
    params->query = query_.data();
    params->key_cache = key_cache_.data();
    params->value_cache = value_cache_.data();
    params->block_tables = tables_.As<int32_t>();
    params->seq_lens = lengths_.As<int32_t>();
    params->alibi_slopes = case_.alibi ? slopes_.As<float>() : nullptr;
    const bool scaled = case_.cache != CacheType::kAuto;
    params->k_scale = scaled ? scales_.As<float>() : nullptr;
    params->v_scale = scaled ? scales_.As<float>() + 1 : nullptr;
  }

  const DeviceBytes& query() const { return query_; }
  const DeviceBytes& key_cache() const { return key_cache_; }
  const DeviceBytes& value_cache() const { return value_cache_; }
  const DeviceBytes& tables() const { return tables_; }
  const DeviceBytes& lengths() const { return lengths_; }

 private:
  const DecodeCase& case_;
  DeviceBytes query_, key_cache_, value_cache_, tables_, lengths_, slopes_, scales_;
};

}  // namespace stablekv::testing

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DEVICE_INPUT_H_
