// Test helper: a paged attention problem with random content, and its answer in float64.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_TEST_CASE_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_TEST_CASE_H_

#include <cstdint>
#include <ostream>
#include <vector>

#include "csrc/kernels/attention/paged_attention.h"

namespace stablekv::testing {

struct CaseShape {
  ElementType element = ElementType::kFloat32;
  CacheType cache = CacheType::kAuto;
  int64_t head_size = 64;
  int64_t block_size = 16;
  int64_t num_kv_heads = 2;
  int64_t group = 1;
  std::vector<int32_t> seq_lens = {5};
  bool alibi = false;
  bool head_gaps = true;  // between the kv heads of a block's keys
  BlockSparseParams sparse{0, 0, 0, 64, 0};
  uint32_t seed = 1;
};

std::ostream& operator<<(std::ostream& stream, const CaseShape& shape);

// Everything that the operator must not look at holds NaN (caches past the lengths, blocks that no
// head attends to, gaps between strided rows) or an impossible block number (tables). No tensor is
// aligned to more than its element.
class AttentionCase {
 public:
  explicit AttentionCase(const CaseShape& shape);

  PagedAttentionParams params() { return params_; }

  const CaseShape& shape() const { return shape_; }
  std::vector<int32_t>& block_tables() { return block_tables_; }
  std::vector<int32_t>& seq_lens() { return seq_lens_; }
  const std::vector<uint8_t>& out_bytes() const { return out_; }

  // Makes every element of block `block` (of all kv heads) NaN, in both caches.
  void PoisonBlock(int64_t block);
  void ClearOut();

  // Checks the whole output buffer, gaps included, against Reference().
  void CheckOut(const char* what) const;

 private:
  struct Row {
    std::vector<double> out;
    std::vector<double> magnitude;  // sum of p * |v|: what rounding errors are relative to
  };
  Row Reference(int64_t seq, int64_t head) const;
  bool Attends(int64_t seq, int64_t head, int64_t token) const;
  double ReadCache(const std::vector<uint8_t>& cache, int64_t offset) const;
  int64_t KeyOffset(int64_t block, int64_t kv_head, int64_t d, int64_t token) const;
  int64_t ValueOffset(int64_t block, int64_t kv_head, int64_t d, int64_t token) const;
  void FillCaches();

  CaseShape shape_;
  PagedAttentionParams params_{};
  float k_scale_ = 0.37f;
  float v_scale_ = 1.9f;
  std::vector<uint8_t> out_, query_, key_cache_, value_cache_;
  std::vector<int32_t> block_tables_, seq_lens_;
  std::vector<float> alibi_slopes_;
};

}  // namespace stablekv::testing

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_TEST_CASE_H_
