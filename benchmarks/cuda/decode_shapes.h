// The shapes that decode_bench times.
#ifndef STABLEKV_BENCHMARKS_CUDA_DECODE_SHAPES_H_
#define STABLEKV_BENCHMARKS_CUDA_DECODE_SHAPES_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/common/types.h"

namespace stablekv::bench {

inline constexpr int64_t kRag = -1;  // sequences of 256 to 16384 tokens

struct Shape {
  std::string name;
  int64_t num_heads;
  int64_t num_kv_heads;
  int64_t batch;
  int64_t context;
  CacheType cache;
  int64_t head_size = 128;
  int64_t block_size = 16;
  ElementType element = ElementType::kBFloat16;
  // What the call says no sequence is longer than, as a graph does that is captured once for all
  // lengths; 0: the longest one's length.
  int64_t max_seq_len = 0;
};

inline std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  struct Heads {
    const char* name;
    int64_t query, kv;
  };
  for (const CacheType cache : {CacheType::kAuto, CacheType::kFp8E4M3}) {
    for (const Heads& heads : {Heads{"a", 32, 8}, Heads{"b", 32, 32}, Heads{"c", 8, 1}}) {
      for (const int64_t context : {512, 4096, 16384}) {
        for (const int64_t batch : {1, 16, 64, 256}) {
          if (heads.kv == 32 && batch == 256 && context == 16384) continue;
          shapes.push_back({heads.name, heads.query, heads.kv, batch, context, cache});
        }
      }
      if (heads.kv != 32) shapes.push_back({heads.name, heads.query, heads.kv, 64, kRag, cache});
      if (heads.kv != 1) shapes.push_back({heads.name, heads.query, heads.kv, 4, kRag, cache});
      if (heads.kv == 8) {
        shapes.push_back({heads.name, heads.query, heads.kv, 2, 16384, cache});
        shapes.push_back({heads.name, heads.query, heads.kv, 16, kRag, cache});
        shapes.push_back({heads.name, heads.query, heads.kv, 32, kRag, cache});
      }
      if (heads.kv == 1) {
        for (const int64_t batch : {2, 4, 8}) {
          shapes.push_back({heads.name, heads.query, heads.kv, batch, 16384, cache});
        }
        shapes.push_back({heads.name, heads.query, heads.kv, 4, kRag, cache});
        shapes.push_back({heads.name, heads.query, heads.kv, 16, kRag, cache});
        shapes.push_back({heads.name, heads.query, heads.kv, 256, kRag, cache});
      }
    }
  }
  for (const CacheType cache : {CacheType::kAuto, CacheType::kFp8E4M3}) {
    for (const auto& [kv_heads, batch, context] :
         std::vector<std::array<int64_t, 3>>{{8, 1, 4096},
                                             {8, 4, 4096},
                                             {8, 16, 4096},
                                             {1, 1, 4096},
                                             {1, 16, 4096},
                                             {1, 64, 4096},
                                             {1, 16, kRag},
                                             {1, 64, kRag}}) {
      Shape shape = {"captured", kv_heads == 8 ? 32 : 8, kv_heads, batch, context, cache};
      shape.max_seq_len = 131072;
      shapes.push_back(shape);
    }
  }
  // Lengths that no block size divides, as most are.
  for (const CacheType cache : {CacheType::kAuto, CacheType::kFp8E4M3}) {
    for (const auto& [kv_heads, batch, context] : std::vector<std::array<int64_t, 3>>{
             {8, 1, 509}, {8, 1, 4093}, {8, 64, 4093}, {1, 1, 4093}, {1, 16, 4093}}) {
      shapes.push_back({"odd", kv_heads == 8 ? 32 : 8, kv_heads, batch, context, cache});
    }
  }
  // Other head sizes, block sizes and formats, at the same bytes.
  for (const CacheType cache : {CacheType::kAuto, CacheType::kFp8E4M3}) {
    for (const int64_t head_size : {32, 64, 80, 96, 112, 120, 192, 256}) {
      if (cache != CacheType::kAuto && head_size == 120) continue;
      shapes.push_back({"d" + std::to_string(head_size), 32, 8, 64,
                        4096 * 128 / head_size / 512 * 512, cache, head_size});
    }
    shapes.push_back({"bs8", 32, 8, 64, 4096, cache, 128, 8});
    shapes.push_back({"bs32", 32, 8, 64, 4096, cache, 128, 32});
  }
  shapes.push_back({"e5m2", 32, 8, 64, 4096, CacheType::kFp8E5M2});
  shapes.push_back({"f16", 32, 8, 64, 4096, CacheType::kAuto, 128, 16, ElementType::kFloat16});
  for (const CacheType cache : {CacheType::kAuto, CacheType::kFp8E4M3}) {
    shapes.push_back({"g12", 96, 8, 64, 4096, cache});
    shapes.push_back({"g16", 128, 8, 64, 4096, cache});
    shapes.push_back({"g16", 128, 8, 64, 8192, cache, 64});
    shapes.push_back({"g16", 16, 1, 16, 4096, cache});
  }
  return shapes;
}

}  // namespace stablekv::bench

#endif  // STABLEKV_BENCHMARKS_CUDA_DECODE_SHAPES_H_
