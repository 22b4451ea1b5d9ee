#include <algorithm>
#include <string>
#include <vector>

#include "csrc/kernels/cache/fp8_rows_cpu.h"
#include "csrc/kernels/cache/reshape_and_cache.h"
#include "csrc/kernels/cache/scatter_rows_cpu.h"
#include "csrc/kernels/common/cpu_isa.h"
#include "csrc/kernels/common/slot_mapping.h"

namespace stablekv {
namespace {

constexpr int64_t kGrainBytes = 64 * 1024;  // of keys and values: worth another thread's while
constexpr int64_t kRunTokens = 32;          // most tokens of a run
constexpr int64_t kSliceElements = 256;     // elements of a row that are encoded at a time

// Tokens whose slots follow each other within one block. They are written together, so that a row
// of values is written in one piece.
struct Run {
  int64_t first_token;
  int64_t tokens;
};

// Where one head of a run comes from and goes to.
struct Source {
  const uint8_t* data;   // of the run's first token
  int64_t token_stride;  // bytes
  float scale;
};

Status CheckSizes(const ReshapeAndCacheParams& params) {
  if (params.block_size < 1) {
    return Status::Error("block_size is " + std::to_string(params.block_size) +
                         ", want at least 1");
  }
  if (params.x < 1 || params.head_size % params.x != 0) {
    return Status::Error("key_cache has chunks of " + std::to_string(params.x) +
                         " elements, want a divisor of head_size, which is " +
                         std::to_string(params.head_size));
  }
  return Status();
}

std::vector<Run> FindRuns(const ReshapeAndCacheParams& params) {
  std::vector<Run> runs;
  for (int64_t token = 0; token < params.num_tokens; ++token) {
    const int64_t slot = params.slot_mapping[token];
    if (slot < 0) continue;
    const bool follows = !runs.empty() && runs.back().first_token + runs.back().tokens == token &&
                         params.slot_mapping[token - 1] + 1 == slot &&
                         slot % params.block_size != 0 && runs.back().tokens < kRunTokens;
    if (follows) {
      ++runs.back().tokens;
    } else {
      runs.push_back({token, 1});
    }
  }
  return runs;
}

// Calls `scatter(rows, row_stride, first, count)` for slices [first, first + count) of the rows'
// elements as they are to be stored.
template <typename Scatter>
void ForEachSlice(const ReshapeAndCacheParams& params, const Source& source, int64_t tokens,
                  EncodeFp8 encode, const Scatter& scatter) {
  if (encode == nullptr) {
    scatter(source.data, source.token_stride, 0, params.head_size);
    return;
  }
  uint8_t codes[kRunTokens * kSliceElements];
  for (int64_t first = 0; first < params.head_size; first += kSliceElements) {
    const int64_t count = std::min(kSliceElements, params.head_size - first);
    for (int64_t t = 0; t < tokens; ++t) {
      encode(source.data + t * source.token_stride + first * SizeOf(params.element), count,
             source.scale, codes + t * kSliceElements);
    }
    scatter(codes, kSliceElements, first, count);
  }
}

void WriteRun(const ReshapeAndCacheParams& params, const Run& run, int64_t head, EncodeFp8 encode) {
  const int64_t from_bytes = SizeOf(params.element);
  const int64_t to_bytes = SizeOf(params.cache, params.element);
  const int64_t slot = params.slot_mapping[run.first_token];
  const int64_t block = slot / params.block_size;
  const int64_t offset = slot % params.block_size;

  const Source key{
      static_cast<const uint8_t*>(params.key) +
          (run.first_token * params.key_token_stride + head * params.key_head_stride) * from_bytes,
      params.key_token_stride * from_bytes, encode == nullptr ? 1.0f : *params.k_scale};
  const Source value{
      static_cast<const uint8_t*>(params.value) +
          (run.first_token * params.value_token_stride + head * params.value_head_stride) *
              from_bytes,
      params.value_token_stride * from_bytes, encode == nullptr ? 1.0f : *params.v_scale};
  auto* const key_cache =
      static_cast<uint8_t*>(params.key_cache) +
      (block * params.key_cache_block_stride + head * params.key_cache_head_stride) * to_bytes;
  auto* const value_cache =
      static_cast<uint8_t*>(params.value_cache) +
      (block * params.value_cache_block_stride + head * params.value_cache_head_stride) * to_bytes;

  const PageShape page{params.block_size, params.x, to_bytes};
  ForEachSlice(params, key, run.tokens, encode,
               [&](const uint8_t* rows, int64_t stride, int64_t first, int64_t count) {
                 ScatterKeys(page, {rows, stride, run.tokens, first, count}, offset, key_cache);
               });
  ForEachSlice(params, value, run.tokens, encode,
               [&](const uint8_t* rows, int64_t stride, int64_t first, int64_t count) {
                 ScatterValues(page, {rows, stride, run.tokens, first, count}, offset, value_cache);
               });
}

}  // namespace

Status ReshapeAndCacheCpu(const ReshapeAndCacheParams& params, ParallelFor parallel_for) {
  if (params.num_tokens == 0 || params.num_heads == 0 || params.head_size == 0) return Status();
  STABLEKV_RETURN_IF_ERROR(CheckSizes(params));
  STABLEKV_RETURN_IF_ERROR(
      CheckSlots(params.slot_mapping, params.num_tokens, params.num_blocks, params.block_size));
  const EncodeFp8 encode = params.cache == CacheType::kAuto
                               ? nullptr
                               : FindEncodeFp8(params.element, params.cache, BestCpuIsa());
  const std::vector<Run> runs = FindRuns(params);
  if (runs.empty()) return Status();
  const int64_t pieces = static_cast<int64_t>(runs.size()) * params.num_heads;
  const int64_t bytes =
      2 * params.num_tokens * params.num_heads * params.head_size * SizeOf(params.element);
  const int64_t grain = std::max<int64_t>(1, kGrainBytes * pieces / bytes);
  RunParallel(parallel_for, pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      WriteRun(params, runs[static_cast<size_t>(i / params.num_heads)], i % params.num_heads,
               encode);
    }
  });
  return Status();
}

}  // namespace stablekv
