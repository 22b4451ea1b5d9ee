// The gathers on the CPU against a loop over rows and elements.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "csrc/kernels/cache/gather_dequant.h"
#include "csrc/kernels/cache/gather_rows.h"
#include "csrc/kernels/cache/gather_upconvert.h"
#include "csrc/kernels/common/element_bits.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

constexpr RowStartsArg kStarts{"starts", /*may_be_cut=*/false};
constexpr uint8_t kUntouched = 0xAB;
constexpr int64_t kNumRows = 13;  // the last one is of no sequence

// Sequences of 5, 0 and 7 rows, from tokens 2, 99 and 4 on, in blocks of 4 tokens of a cache of 9.
const std::vector<int32_t> kRowStarts = {0, 5, 5, 12};
const std::vector<int32_t> kSeqStarts = {2, 99, 4};
const std::vector<int32_t> kTable = {8, 0, -1, -1, -1, -1, -1, 7, 3};

PagedRows Rows() {
  return {kRowStarts.data(), kSeqStarts.data(), kTable.data(), kNumRows, 3, 4, 3, 3, 9, 4};
}

// Byte of the cache where the token of a row begins.
int64_t TokenAt(int64_t row, int64_t block_stride, int64_t token_stride) {
  const int64_t seq = row < 5 ? 0 : 2;
  const int64_t position =
      row - kRowStarts[static_cast<size_t>(seq)] + kSeqStarts[static_cast<size_t>(seq)];
  const int64_t block = kTable[static_cast<size_t>(seq * 3 + position / 4)];
  return block * block_stride + position % 4 * token_stride;
}

std::vector<uint8_t> Noise(int64_t size) {
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  uint32_t seed = 7;
  for (uint8_t& byte : bytes) {
    seed = seed * 1664525 + 1013904223;
    byte = static_cast<uint8_t>(seed >> 24);
  }
  return bytes;
}

void TestRows(int64_t bytes, int64_t gap, ParallelFor parallel_for) {
  const int64_t token_stride = bytes + gap;
  const int64_t block_stride = 4 * (token_stride + 4) + gap;
  const std::vector<uint8_t> cache = Noise(9 * block_stride);
  std::vector<uint8_t> rows(static_cast<size_t>(kNumRows * (bytes + gap)), kUntouched);
  std::vector<uint8_t> scales(static_cast<size_t>(kNumRows * 4), kUntouched);
  std::vector<uint8_t> want = rows;
  std::vector<uint8_t> want_scales = scales;
  for (int64_t row = 0; row + 1 < kNumRows; ++row) {
    const int64_t at = TokenAt(row, block_stride, token_stride);
    memcpy(&want[static_cast<size_t>(row * (bytes + gap))], &cache[static_cast<size_t>(at)],
           static_cast<size_t>(bytes));
    const int64_t scale_at = TokenAt(row, block_stride, 4) + 4 * token_stride;
    memcpy(&want_scales[static_cast<size_t>(row * 4)], &cache[static_cast<size_t>(scale_at)], 4);
  }
  const GatherRowsParams params = {
      Rows(),
      {{cache.data(), rows.data(), block_stride, token_stride, bytes + gap, bytes},
       {cache.data() + 4 * token_stride, scales.data(), block_stride, 4, 4, 4}},
      2};
  CHECK_OK(GatherRowsCpu(params, kStarts, parallel_for), "");
  CHECK_THAT(rows == want && scales == want_scales, "rows of " << bytes << ", gap " << gap);
}

template <ElementType kElement>
void TestDequant(CacheType cache_type, int64_t entry_size, int64_t gap, float scale,
                 ParallelFor parallel_for) {
  using Bits = ElementBits<kElement>;
  const int64_t element = SizeOf(cache_type, kElement);
  const int64_t token_stride = entry_size + gap;
  const int64_t block_stride = 4 * token_stride + gap;
  const std::vector<uint8_t> cache = Noise(9 * block_stride * element);
  const std::vector<int32_t> token_to_seq(static_cast<size_t>(kNumRows), 0);
  std::vector<uint8_t> rows(static_cast<size_t>(kNumRows * token_stride) * sizeof(Bits),
                            kUntouched);
  std::vector<uint8_t> want = rows;
  for (int64_t row = 0; row + 1 < kNumRows; ++row) {
    for (int64_t i = 0; i < entry_size; ++i) {
      const uint8_t* const from =
          &cache[static_cast<size_t>((TokenAt(row, block_stride, token_stride) + i) * element)];
      Bits bits;
      if (cache_type == CacheType::kAuto) {
        memcpy(&bits, from, sizeof(bits));
      } else {
        const bool e4m3 = cache_type == CacheType::kFp8E4M3;
        bits = FloatToElement<kElement>((e4m3 ? Fp8E4M3ToFloat(*from) : Fp8E5M2ToFloat(*from)) *
                                        scale);
      }
      memcpy(&want[static_cast<size_t>(row * token_stride + i) * sizeof(bits)], &bits,
             sizeof(bits));
    }
  }
  const GatherDequantParams params = {
      Rows(),       token_to_seq.data(), cache.data(), rows.data(), &scale,    entry_size,
      block_stride, token_stride,        token_stride, kElement,    cache_type};
  CHECK_OK(GatherDequantCpu(params, kStarts, parallel_for), "");
  CHECK_THAT(rows == want, "dequantised " << entry_size << ", gap " << gap);
}

void TestUpconvert(int64_t gap, ParallelFor parallel_for) {
  const int64_t token_stride = 656 + gap;
  const int64_t block_stride = 4 * token_stride;
  const int64_t row_stride = 576 + gap;
  std::vector<uint8_t> cache = Noise(9 * block_stride);
  const float scales[4] = {0.0371f, -2.0f, 1e30f, 0.0f};
  for (int64_t token = 0; token < 36; ++token) {
    memcpy(&cache[static_cast<size_t>(token * token_stride + 512)], scales, sizeof(scales));
  }
  std::vector<uint8_t> rows(static_cast<size_t>(kNumRows * row_stride * 2), kUntouched);
  std::vector<uint8_t> want = rows;
  for (int64_t row = 0; row + 1 < kNumRows; ++row) {
    const uint8_t* const token =
        &cache[static_cast<size_t>(TokenAt(row, block_stride, token_stride))];
    uint8_t* const to = &want[static_cast<size_t>(row * row_stride * 2)];
    for (int64_t d = 0; d < 512; ++d) {
      const float product = Fp8E4M3ToFloat(token[d]) * scales[d / 128];
      const uint16_t bits = FloatToElement<ElementType::kBFloat16>(product);
      memcpy(to + 2 * d, &bits, 2);
    }
    memcpy(to + 1024, token + 528, 128);
  }
  const GatherUpconvertParams params = {Rows(),       cache.data(), rows.data(),
                                        block_stride, token_stride, row_stride};
  CHECK_OK(GatherUpconvertCpu(params, kStarts, parallel_for), "");
  CHECK_THAT(rows == want, "gap " << gap);
}

void TestGathers(ParallelFor parallel_for) {
  for (const int64_t gap : {0, 1, 16}) {
    for (const int64_t size : {1, 7, 64, 333}) {
      TestRows(size, gap, parallel_for);
      for (const CacheType cache : {CacheType::kAuto, CacheType::kFp8E4M3, CacheType::kFp8E5M2}) {
        TestDequant<ElementType::kFloat32>(cache, size, gap, 0.0371f, parallel_for);
        TestDequant<ElementType::kFloat16>(cache, size, gap, -3.0f, parallel_for);
        TestDequant<ElementType::kBFloat16>(cache, size, gap, NAN, parallel_for);
      }
    }
    TestUpconvert(gap, parallel_for);
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestGathers(&stablekv::SerialFor);
  stablekv::TestGathers(&stablekv::testing::BackwardsFor<>);
  return stablekv::testing::Finish();
}
