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

// The list, in parts by what they are about. What a part is not about takes turns.
class DecodeCaseList {
 public:
  // `quick`: fewer and shorter ones, for compute-sanitizer.
  explicit DecodeCaseList(bool quick) : quick_(quick) {
    for (const ElementType element : kElements) {
      for (const CacheType cache : kCaches) {
        AddHeadSizes(element, cache);
        AddForms(element, cache);
      }
    }
    AddOrdered();
    AddShared();
    AddSplit();
    AddShort();
    AddLargeGroups();
    AddPaired();
    if (quick) return;
    AddGroups();
    AddExtremes();
  }

  const std::vector<DecodeCase>& cases() const { return cases_; }

 private:
  // If a cache can have the head size.
  void Add(const DecodeCase& c) {
    if (Fits(c)) cases_.push_back(c);
  }

  static DecodeCase CaseOf(ElementType element, CacheType cache, int64_t head_size) {
    DecodeCase c;
    c.element = element;
    c.cache = cache;
    c.head_size = head_size;
    return c;
  }

  // Every kernel: head sizes with all tile sizes, at lengths around the edges.
  void AddHeadSizes(ElementType element, CacheType cache) {
    for (const int64_t head_size : kHeadSizes) {
      for (const int64_t group : {int64_t{1}, int64_t{4}, int64_t{8}}) {
        DecodeCase c = CaseOf(element, cache, head_size);
        c.group = group;
        c.block_size = kBlockSizes[turn_++ % 3];
        c.num_kv_heads = 1 + turn_ % 2;
        const int32_t block = static_cast<int32_t>(c.block_size);
        c.lengths = {0, 1, block - 1, block, block + 1, 70, 257};
        if (quick_) c.lengths = {0, 1, block + 1, 70};
        Add(c);
      }
    }
  }

  // All else at two head sizes, at one of them with block-sparse attention too.
  void AddForms(ElementType element, CacheType cache) {
    DecodeCase base = CaseOf(element, cache, 128);
    base.group = kGroups[turn_++ % 6];
    base.block_size = kBlockSizes[turn_ % 3];
    base.num_kv_heads = 2 - turn_ % 2;
    AddLengths(base);
    AddTensors(base);
    const DecodeCase last = AddSparse(base);
    base = CaseOf(element, cache, 80);
    base.group = kGroups[turn_++ % 6];
    base.block_size = kBlockSizes[turn_ % 3];
    AddLengths(base);
    AddTensors(base);
    AddSparse(base);
    base.num_kv_heads = last.num_kv_heads;
    base.sparse = last.sparse;
    AddLengths(base);
    AddTensors(base);
  }

  // Around whole partitions, and beyond what a call may have.
  void AddLengths(const DecodeCase& base) {
    DecodeCase c = base;
    c.lengths = quick_ ? std::vector<int32_t>{511, 513}
                       : std::vector<int32_t>{5000, 511, 512, 513, 1023, 1024, 1025, 0};
    Add(c);
    c = base;
    c.lengths = {-5, 3, 90, 200, INT32_MIN, INT32_MAX};
    c.max_seq_len = 77;
    Add(c);
  }

  // Biases, tensors with gaps, and tables that name no block.
  void AddTensors(const DecodeCase& base) {
    DecodeCase c = base;
    c.lengths = {100, 45, 1};
    c.alibi = true;
    c.logit_spread = 4.0f;
    Add(c);
    c.max_seq_len = 4000;  // more partitions than there are tokens for
    c.padding = 16;
    Add(c);
    c = base;
    c.lengths = {33, 150};
    c.misalign = 1;
    c.padding = 3;
    Add(c);
    c = base;
    c.lengths = {8, 130, 700};
    c.bad_blocks = true;
    Add(c);
  }

  // Block-sparse attention. Returns the last one.
  DecodeCase AddSparse(const DecodeCase& base) {
    DecodeCase c;
    for (const int64_t step : {0, 1, 2, -1, -3}) {
      c = base;
      c.num_kv_heads = 3;
      c.lengths = {1, 600, 1030};
      if (quick_) c.lengths = {300};
      // Sparse blocks as large as a cache block, larger, and not a multiple of it.
      const int64_t sizes[] = {c.block_size, 64, 24};
      c.sparse = {/*tp_rank=*/turn_ % 3, /*local_blocks=*/step == 2 ? 0 : 2,
                  /*vert_stride=*/5, /*block_size=*/sizes[turn_ % 3], step};
      ++turn_;
      Add(c);
    }
    return c;
  }

  // Lengths of every kind, in no order, with more work items than run at once: these come in the
  // order of their lengths.
  void AddOrdered() {
    for (const CacheType cache : kCaches) {
      DecodeCase c = CaseOf(ElementType::kBFloat16, cache, 128);
      c.group = 4;
      c.num_kv_heads = quick_ ? 24 : 8;
      c.lengths.assign(quick_ ? 12 : 63, 0);
      for (size_t s = 0; s < c.lengths.size(); ++s) {
        c.lengths[s] = static_cast<int32_t>(quick_ ? s * 37 % 61 : s * 37 % 61 * 33);
      }
      c.lengths[3] = -1;
      c.lengths[5] = quick_ ? 61 : 2100;
      c.max_seq_len = quick_ ? 4096 : 2048;
      Add(c);
      c.block_size = 8;
      c.lengths.assign(c.lengths.size(), quick_ ? 33 : 333);  // all the same: no order to find
      Add(c);
    }
  }

  // Calls that say no sequence is longer than one may become, as a graph does that is captured
  // once: sequences are cut into shares (TokenShares).
  void AddShared() {
    for (const ElementType element : {ElementType::kFloat16, ElementType::kBFloat16}) {
      for (const CacheType cache : kCaches) {
        for (const int64_t num_seqs : {2, 3, 31, 33, 100}) {
          if (quick_ && num_seqs > 33) continue;
          DecodeCase c = CaseOf(element, cache, turn_ % 4 == 0 ? 64 : turn_ % 4 == 1 ? 256 : 128);
          c.group = kGroups[turn_ % 6];
          c.block_size = kBlockSizes[turn_++ % 3];
          c.num_kv_heads = num_seqs <= 3 ? 8 : num_seqs <= 33 ? 3 : 1;
          c.max_seq_len = 60'000;
          c.lengths.assign(num_seqs, 0);
          for (int64_t s = 0; s < num_seqs; ++s) {
            c.lengths[s] = static_cast<int32_t>(s % 7 == 5 ? -s : s * 61 % 37 * (quick_ ? 20 : 40));
          }
          c.lengths[1] = quick_ ? 300 : 5000;
          c.alibi = num_seqs == 3;
          c.bad_blocks = num_seqs == 31;
          c.padding = num_seqs == 33 ? 16 : 0;
          Add(c);
          if (num_seqs > 3) continue;
          c.lengths.assign(num_seqs, 0);  // nothing to share out
          Add(c);
          c.lengths.assign(num_seqs, 256 * 33);  // full shares alone
          if (!quick_) Add(c);
          c.lengths.assign(num_seqs, 500);  // of fp8, shares that are made smaller (ShareSize)
          c.lengths[0] = 20'000;
          c.lengths[1] = 12'000;
          if (!quick_) Add(c);
        }
      }
    }
  }

  // So few that each has splits of its own (LengthSplits), again with a length that none has: one
  // split, several, and a last one of a token.
  void AddSplit() {
    for (const ElementType element : {ElementType::kFloat16, ElementType::kBFloat16}) {
      for (const CacheType cache : kCaches) {
        for (const std::vector<int32_t>& lengths : std::vector<std::vector<int32_t>>{
                 {256}, {257}, {quick_ ? 770 : 8193}, {-3, 0, 1, 511}, {255, 300, 513, 1025}}) {
          for (const int64_t max_seq_len : {2'100, 60'000}) {
            DecodeCase c = CaseOf(element, cache, turn_ % 3 == 0 ? 64 : turn_ % 3 == 1 ? 192 : 128);
            c.group = kGroups[turn_ % 6];
            c.block_size = kBlockSizes[turn_++ % 3];
            c.num_kv_heads = lengths.size() == 1 && turn_ % 2 == 0 ? 8 : 1;
            c.max_seq_len = max_seq_len;
            c.lengths = lengths;
            c.alibi = turn_ % 4 == 0;
            c.bad_blocks = turn_ % 5 == 0;
            Add(c);
          }
        }
      }
    }
  }

  // Short sequences, of which a CTA takes two or four; in the last CTA, warps are idle.
  void AddShort() {
    for (const CacheType cache : kCaches) {
      for (const int64_t num_seqs : {65, 171, 1024}) {
        if (quick_ && num_seqs > 65) continue;
        for (const int64_t head_size : {32, 64, 128, 256}) {
          DecodeCase c = CaseOf(ElementType::kBFloat16, cache, head_size);
          c.group = turn_ % 3 == 0 ? 12 : 4;
          c.block_size = kBlockSizes[turn_++ % 3];
          c.num_kv_heads = num_seqs == 65 ? 8 : num_seqs == 171 ? 3 : 1;
          c.lengths.assign(num_seqs, 0);
          for (int64_t s = 0; s < num_seqs; ++s) {
            c.lengths[s] = static_cast<int32_t>(s * 37 % 61 * (quick_ || num_seqs == 1024 ? 3 : 8));
          }
          Add(c);
        }
      }
    }
  }

  // Large groups: a tile of up to 16 query heads, several tiles, and where there is none so wide.
  void AddLargeGroups() {
    for (const ElementType element : {ElementType::kFloat16, ElementType::kBFloat16}) {
      for (const CacheType cache : kCaches) {
        for (const int64_t head_size : {int64_t{64}, int64_t{128}, int64_t{96}}) {
          for (const int64_t group : {9, 15, 16, 17, 24, 33}) {
            DecodeCase c = CaseOf(element, cache, head_size);
            c.group = group;
            c.num_kv_heads = 1 + turn_ % 2;
            c.block_size = kBlockSizes[turn_++ % 3];
            c.lengths = {0, 1, 31, 65, 257};
            if (!quick_) c.lengths.push_back(1100);
            c.alibi = group == 16;
            c.bad_blocks = group == 9;
            c.padding = group == 24 ? 16 : 0;
            Add(c);
          }
        }
      }
    }
  }

  // fp8 in blocks of 8 tokens has kernels of its own.
  void AddPaired() {
    for (const CacheType cache : {CacheType::kFp8E4M3, CacheType::kFp8E5M2}) {
      for (const int64_t head_size : kHeadSizes) {
        DecodeCase c = CaseOf(head_size % 64 == 0 ? ElementType::kBFloat16 : ElementType::kFloat16,
                              cache, head_size);
        c.block_size = 8;
        c.group = 5;
        c.lengths = {1, 7, 8, 9, 31, 65};
        if (!quick_) c.lengths.push_back(777);
        Add(c);
        c.bad_blocks = true;
        c.padding = 16;
        Add(c);
      }
    }
  }

  // Every group with every block size.
  void AddGroups() {
    for (const int64_t group : kGroups) {
      for (const int64_t block_size : kBlockSizes) {
        DecodeCase c;
        c.element = ElementType::kBFloat16;
        c.head_size = 64;
        c.group = group;
        c.block_size = block_size;
        c.num_kv_heads = 3;
        c.lengths = {129, 530};
        Add(c);
      }
    }
  }

  // More than a grid has places for in y or z, and nothing at all.
  void AddExtremes() {
    DecodeCase c;
    c.element = ElementType::kFloat16;
    c.head_size = 32;
    c.num_kv_heads = 1;
    c.lengths.assign(70000, 3);  // more sequences than a grid's y or z has
    for (size_t s = 0; s < c.lengths.size(); ++s) c.lengths[s] = static_cast<int32_t>(s % 5);
    Add(c);
    c.lengths = {5};
    c.group = 70000;
    Add(c);
    c.group = 1;
    c.lengths = {0};  // max_seq_len 0: no partitions at all
    Add(c);
    c.lengths = {};
    c.max_seq_len = 9;
    Add(c);
  }

  bool quick_;
  int64_t turn_ = 0;
  std::vector<DecodeCase> cases_;
};

inline std::vector<DecodeCase> DecodeCases(bool quick) { return DecodeCaseList(quick).cases(); }

}  // namespace stablekv::testing

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_CASES_H_
