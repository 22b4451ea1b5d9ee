// Stores rows of elements as a cache has them: as they are, or as fp8 of the quotient by a scale.
#ifndef STABLEKV_CSRC_KERNELS_MLA_STORE_ROW_CPU_H_
#define STABLEKV_CSRC_KERNELS_MLA_STORE_ROW_CPU_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "csrc/kernels/cache/fp8_rows_cpu.h"
#include "csrc/kernels/common/cpu_isa.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

class StoreRow {
 public:
  // `scale` is not read for kAuto.
  StoreRow(ElementType element, CacheType cache, const float* scale)
      : element_bytes_(SizeOf(element)),
        encode_(cache == CacheType::kAuto ? nullptr : FindEncodeFp8(element, cache, BestCpuIsa())),
        scale_(cache == CacheType::kAuto ? 1.0f : *scale) {}

  // Any alignment.
  void operator()(const uint8_t* from, int64_t count, uint8_t* to) const {
    if (encode_ == nullptr) {
      memcpy(to, from, static_cast<size_t>(count * element_bytes_));
    } else {
      encode_(from, count, scale_, to);
    }
  }

 private:
  int64_t element_bytes_;
  EncodeFp8 encode_;
  float scale_;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_STORE_ROW_CPU_H_
