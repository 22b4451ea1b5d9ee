// The 656 bytes of a token in an "fp8_ds_mla" cache.
#ifndef STABLEKV_CSRC_KERNELS_MLA_DS_MLA_LAYOUT_H_
#define STABLEKV_CSRC_KERNELS_MLA_DS_MLA_LAYOUT_H_

#include <cstdint>

namespace stablekv {

// From the first byte of the token, which is at kv_cache + b * block_stride + o * token_stride:
//   [  0, 512)  512 e4m3, the NoPE elements in order
//   [512, 528)    4 float32, the scale of each tile of 128 NoPE elements
//   [528, 656)   64 elements of 16 bits, the RoPE elements as they are
// NoPE element d has the value e4m3(byte d) * float32(bytes 512 + d / 128 * 4 ..).
struct DsMlaLayout {
  static constexpr int64_t kNopeElements = 512;
  static constexpr int64_t kTileElements = 128;
  static constexpr int64_t kTiles = kNopeElements / kTileElements;
  static constexpr int64_t kRopeElements = 64;

  static constexpr int64_t kScalesAt = kNopeElements;
  static constexpr int64_t kRopeAt = kScalesAt + kTiles * 4;
  static constexpr int64_t kTokenBytes = kRopeAt + kRopeElements * 2;
};
static_assert(DsMlaLayout::kTokenBytes == 656);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_DS_MLA_LAYOUT_H_
