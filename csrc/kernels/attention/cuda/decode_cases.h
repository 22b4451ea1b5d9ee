// The list of cases that paged attention on CUDA is tested with.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_CASES_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_CASES_H_

#include <cstdint>
#include <vector>

#include "csrc/kernels/attention/cuda/decode_case.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/types.h"

namespace stablekv::testing {

inline constexpr int64_t kGroups[] = {1, 2, 3, 7, 8, 12};

// Head sizes a cache can have: its keys come in chunks of 16 bytes.
inline bool Fits(const DecodeCase& c) {
  return c.head_size % (16 / SizeOf(c.cache, c.element)) == 0;
}

inline std::vector<DecodeCase> DecodeCases(bool quick) {
  std::vector<DecodeCase> cases;
  const auto add = [&](const DecodeCase& c) {
    if (Fits(c)) cases.push_back(c);
  };
  int64_t turn = 0;
  for (const ElementType element : kElements) {
    for (const CacheType cache : kCaches) {
      DecodeCase c;
      c.element = element;
      c.cache = cache;
      // Every kernel: head sizes with all tile sizes, at lengths around the edges.
      for (const int64_t head_size : kHeadSizes) {
        c.head_size = head_size;
        for (const int64_t group : {int64_t{1}, int64_t{4}, int64_t{8}}) {
          c.group = group;
          c.block_size = kBlockSizes[turn++ % 3];
          c.num_kv_heads = 1 + turn % 2;
          const int32_t block = static_cast<int32_t>(c.block_size);
          c.lengths = {0, 1, block - 1, block, block + 1, 70, 257};
          if (quick) c.lengths = {0, 1, block + 1, 70};
          add(c);
        }
      }
      // The rest at two head sizes.
      for (const int64_t head_size : {int64_t{128}, int64_t{80}}) {
        const DecodeCase base = [&] {
          DecodeCase b = c;
          b.head_size = head_size;
          b.group = kGroups[turn++ % 6];
          b.block_size = kBlockSizes[turn % 3];
          return b;
        }();
        c = base;
        c.lengths = quick ? std::vector<int32_t>{511, 513}
                          : std::vector<int32_t>{5000, 511, 512, 513, 1023, 1024, 1025, 0};
        add(c);
        c = base;
        c.lengths = {100, 45, 1};
        c.alibi = true;
        c.logit_spread = 4.0f;
        add(c);
        c.max_seq_len = 4000;  // more partitions than there are tokens for
        c.padding = 16;
        add(c);
        c = base;
        c.lengths = {-5, 3, 90, 200, INT32_MIN, INT32_MAX};
        c.max_seq_len = 77;
        add(c);
        c = base;
        c.lengths = {33, 150};
        c.misalign = 1;
        c.padding = 3;
        add(c);
        c = base;
        c.lengths = {8, 130, 700};
        c.bad_blocks = true;
        add(c);
        for (const int64_t step : {0, 1, 2, -1, -3}) {
          c = base;
          c.num_kv_heads = 3;
          c.lengths = {1, 600, 1030};
          if (quick) c.lengths = {300};
          // Sparse blocks as large as a cache block, larger, and not a multiple of it.
          const int64_t sizes[] = {c.block_size, 64, 24};
          c.sparse = {/*tp_rank=*/turn % 3, /*local_blocks=*/step == 2 ? 0 : 2,
                      /*vert_stride=*/5, /*block_size=*/sizes[turn % 3], step};
          ++turn;
          add(c);
        }
      }
    }
  }
  // Lengths of every kind, in no order, with more work items than run at once: these come in the
  // order of their lengths.
  for (const CacheType cache : kCaches) {
    DecodeCase c;
    c.element = ElementType::kBFloat16;
    c.cache = cache;
    c.head_size = 128;
    c.group = 4;
    c.num_kv_heads = quick ? 24 : 8;
    c.lengths.assign(quick ? 12 : 63, 0);
    for (size_t s = 0; s < c.lengths.size(); ++s) {
      c.lengths[s] = static_cast<int32_t>(quick ? s * 37 % 61 : s * 37 % 61 * 33);
    }
    c.lengths[3] = -1;
    c.lengths[5] = quick ? 61 : 2100;
    c.max_seq_len = quick ? 4096 : 2048;
    add(c);
    c.block_size = 8;
    c.lengths.assign(c.lengths.size(), quick ? 33 : 333);  // all the same: no order to find
    add(c);
  }
  // Calls that say no sequence is longer than one may become, as a graph does that is captured
  // once: sequences are cut into shares (TokenShares).
  for (const ElementType element : {ElementType::kFloat16, ElementType::kBFloat16}) {
    for (const CacheType cache : kCaches) {
      for (const int64_t num_seqs : {2, 3, 31, 33, 100}) {
        if (quick && num_seqs > 33) continue;
        DecodeCase c;
        c.element = element;
        c.cache = cache;
        c.head_size = turn % 4 == 0 ? 64 : turn % 4 == 1 ? 256 : 128;
        c.group = kGroups[turn % 6];
        c.block_size = kBlockSizes[turn++ % 3];
        c.num_kv_heads = num_seqs <= 3 ? 8 : num_seqs <= 33 ? 3 : 1;
        c.max_seq_len = 60'000;
        c.lengths.assign(num_seqs, 0);
        for (int64_t s = 0; s < num_seqs; ++s) {
          c.lengths[s] = static_cast<int32_t>(s % 7 == 5 ? -s : s * 61 % 37 * (quick ? 20 : 40));
        }
        c.lengths[1] = quick ? 300 : 5000;
        c.alibi = num_seqs == 3;
        c.bad_blocks = num_seqs == 31;
        c.padding = num_seqs == 33 ? 16 : 0;
        add(c);
        if (num_seqs > 3) continue;
        c.lengths.assign(num_seqs, 0);  // nothing to share out
        add(c);
        c.lengths.assign(num_seqs, 256 * 33);  // full shares alone
        if (!quick) add(c);
        c.lengths.assign(num_seqs, 500);  // of fp8, shares that are made smaller (ShareSize)
        c.lengths[0] = 20'000;
        c.lengths[1] = 12'000;
        if (!quick) add(c);
      }
    }
  }
  // So few that each has splits of its own (LengthSplits), again with a length that none has: one
  // split, several, and a last one of a token.
  for (const ElementType element : {ElementType::kFloat16, ElementType::kBFloat16}) {
    for (const CacheType cache : kCaches) {
      for (const std::vector<int32_t>& lengths : std::vector<std::vector<int32_t>>{
               {256}, {257}, {quick ? 770 : 8193}, {-3, 0, 1, 511}, {255, 300, 513, 1025}}) {
        for (const int64_t max_seq_len : {2'100, 60'000}) {
          DecodeCase c;
          c.element = element;
          c.cache = cache;
          c.head_size = turn % 3 == 0 ? 64 : turn % 3 == 1 ? 192 : 128;
          c.group = kGroups[turn % 6];
          c.block_size = kBlockSizes[turn++ % 3];
          c.num_kv_heads = lengths.size() == 1 && turn % 2 == 0 ? 8 : 1;
          c.max_seq_len = max_seq_len;
          c.lengths = lengths;
          c.alibi = turn % 4 == 0;
          c.bad_blocks = turn % 5 == 0;
          add(c);
        }
      }
    }
  }
  // Short sequences, of which a CTA takes two or four; in the last CTA, warps are idle.
  for (const CacheType cache : kCaches) {
    for (const int64_t num_seqs : {65, 171, 1024}) {
      if (quick && num_seqs > 65) continue;
      for (const int64_t head_size : {32, 64, 128, 256}) {
        DecodeCase c;
        c.element = ElementType::kBFloat16;
        c.cache = cache;
        c.head_size = head_size;
        c.group = turn % 3 == 0 ? 12 : 4;
        c.block_size = kBlockSizes[turn++ % 3];
        c.num_kv_heads = num_seqs == 65 ? 8 : num_seqs == 171 ? 3 : 1;
        c.lengths.assign(num_seqs, 0);
        for (int64_t s = 0; s < num_seqs; ++s) {
          c.lengths[s] = static_cast<int32_t>(s * 37 % 61 * (quick || num_seqs == 1024 ? 3 : 8));
        }
        add(c);
      }
    }
  }
  // Large groups: a tile of up to 16 query heads, several tiles, and where there is none so wide.
  for (const ElementType element : {ElementType::kFloat16, ElementType::kBFloat16}) {
    for (const CacheType cache : kCaches) {
      for (const int64_t head_size : {int64_t{64}, int64_t{128}, int64_t{96}}) {
        for (const int64_t group : {9, 15, 16, 17, 24, 33}) {
          DecodeCase c;
          c.element = element;
          c.cache = cache;
          c.head_size = head_size;
          c.group = group;
          c.num_kv_heads = 1 + turn % 2;
          c.block_size = kBlockSizes[turn++ % 3];
          c.lengths = {0, 1, 31, 65, 257};
          if (!quick) c.lengths.push_back(1100);
          c.alibi = group == 16;
          c.bad_blocks = group == 9;
          c.padding = group == 24 ? 16 : 0;
          add(c);
        }
      }
    }
  }
  // fp8 in blocks of 8 tokens has kernels of its own.
  for (const CacheType cache : {CacheType::kFp8E4M3, CacheType::kFp8E5M2}) {
    for (const int64_t head_size : kHeadSizes) {
      DecodeCase c;
      c.element = head_size % 64 == 0 ? ElementType::kBFloat16 : ElementType::kFloat16;
      c.cache = cache;
      c.head_size = head_size;
      c.block_size = 8;
      c.group = 5;
      c.lengths = {1, 7, 8, 9, 31, 65};
      if (!quick) c.lengths.push_back(777);
      add(c);
      c.bad_blocks = true;
      c.padding = 16;
      add(c);
    }
  }
  if (quick) return cases;
  for (const int64_t group : kGroups) {
    for (const int64_t block_size : kBlockSizes) {
      DecodeCase c;
      c.element = ElementType::kBFloat16;
      c.head_size = 64;
      c.group = group;
      c.block_size = block_size;
      c.num_kv_heads = 3;
      c.lengths = {129, 530};
      add(c);
    }
  }
  DecodeCase c;
  c.element = ElementType::kFloat16;
  c.head_size = 32;
  c.num_kv_heads = 1;
  c.lengths.assign(70000, 3);  // more sequences than a grid's y or z has
  for (size_t s = 0; s < c.lengths.size(); ++s) c.lengths[s] = static_cast<int32_t>(s % 5);
  add(c);
  c.lengths = {5};
  c.group = 70000;
  add(c);
  c.group = 1;
  c.lengths = {0};  // max_seq_len 0: no partitions at all
  add(c);
  c.lengths = {};
  c.max_seq_len = 9;
  add(c);
  return cases;
}

}  // namespace stablekv::testing

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_CASES_H_
