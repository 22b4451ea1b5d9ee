// Test helper: calls of the MLA kernels, made from a shape. The tests of the CPU compare them with
// loops over the formulas of the headers, those of CUDA with the CPU.
#ifndef STABLEKV_CSRC_KERNELS_MLA_MLA_TEST_CASE_H_
#define STABLEKV_CSRC_KERNELS_MLA_MLA_TEST_CASE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/common/types.h"
#include "csrc/kernels/mla/concat_and_cache_mla.h"
#include "csrc/kernels/mla/concat_and_cache_mla_rope_fused.h"
#include "csrc/kernels/mla/concat_mla_q.h"
#include "csrc/kernels/mla/indexer_k_quant_and_cache.h"

namespace stablekv::testing {

// A call: its parameters, but for the pointers, and the memory that these go to.
template <typename Params>
struct Problem {
  struct Tensor {
    std::vector<uint8_t> bytes;  // of a cache: noise, so that a store too many shows
    size_t at;                   // byte where the tensor begins
    void (*bind)(Params* params, void* data);
  };

  std::string name;
  Params params = {};
  std::vector<Tensor> tensors;

  // The parameters, with the tensors where they are on the host.
  Params OnHost() {
    Params bound = params;
    for (Tensor& tensor : tensors) tensor.bind(&bound, tensor.bytes.data() + tensor.at);
    return bound;
  }
};

struct MlaShape {
  ElementType element = ElementType::kBFloat16;
  CacheType cache = CacheType::kAuto;
  bool ds_mla = false;
  int64_t num_tokens = 21;
  int64_t num_heads = 3;
  int64_t kv_lora_rank = 64;  // also nope_dim, head_dim
  int64_t pe_dim = 16;        // also rope_dim
  int64_t quant_block_size = 32;
  int64_t block_size = 8;
  int64_t gap = 0;    // elements between rows
  int64_t shift = 0;  // elements from a multiple of 16 bytes to where a tensor begins
  bool is_neox = true;
  bool power_of_two = false;
  bool past_the_end = false;  // some slots and positions are out of range
};

Problem<ConcatAndCacheMlaParams> MakeConcatAndCacheMla(const MlaShape& shape);
Problem<ConcatAndCacheMlaRopeFusedParams> MakeRopeFused(const MlaShape& shape);
Problem<ConcatMlaQParams> MakeConcatMlaQ(const MlaShape& shape);
Problem<IndexerKQuantAndCacheParams> MakeIndexer(const MlaShape& shape);

// Shapes worth trying for each of them: dtypes, ranks and groups odd and even, gaps, odd addresses.
std::vector<MlaShape> ConcatAndCacheMlaShapes();
std::vector<MlaShape> RopeFusedShapes();
std::vector<MlaShape> ConcatMlaQShapes();
std::vector<MlaShape> IndexerShapes();

}  // namespace stablekv::testing

#endif  // STABLEKV_CSRC_KERNELS_MLA_MLA_TEST_CASE_H_
