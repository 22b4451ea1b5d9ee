// A tile of values by 16 bytes, to zero what is not attended to.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_VALUE_CHUNKS_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_VALUE_CHUNKS_H_

#include <cstdint>

namespace stablekv {

// The blocks of a tile follow each other. A block has a row for each element of the head: the
// block's tokens of it. A chunk is kTokens tokens of one element; if kPairs, with blocks of 8 fp8
// tokens, it is the rows of two elements. Works in device code too: nvcc's
// --expt-relaxed-constexpr.
template <int kHeadSize, int kElementBytes, bool kPairs>
struct ValueChunks {
  static constexpr int kLogTokens = kPairs || kElementBytes == 2 ? 3 : 4;
  static constexpr int kTokens = 1 << kLogTokens;
  static constexpr int kRows = kPairs ? kHeadSize / 2 : kHeadSize;  // of chunks, in a block
  static constexpr uint32_t kAllAttended = (1u << kTokens) - 1;

  // The chunk that has tokens `token` to token + kTokens - 1 of the tile, kTokens dividing `token`.
  static constexpr int ChunkAt(int token, int row, int block_shift) {
    const int block = token >> block_shift;
    const int column = (token & ((1 << block_shift) - 1)) >> kLogTokens;
    return ((block * kRows + row) << (block_shift - kLogTokens)) + column;
  }

  // Bit i says whether token `token` + i is attended to; `attended` has all of the tile.
  static constexpr uint32_t AttendedAt(uint64_t attended, int token) {
    return static_cast<uint32_t>(attended >> token) & kAllAttended;
  }

  // Word `word` of the mask that keeps what is attended to of such a chunk.
  static constexpr uint32_t KeptWord(uint32_t attended, int word) {
    if (kElementBytes == 2) {
      return ((attended >> 2 * word & 0x3u) * 0x8001u & 0x00010001u) * 0xffffu;
    }
    const int first = kPairs ? 4 * (word % 2) : 4 * word;
    return ((attended >> first & 0xfu) * 0x00204081u & 0x01010101u) * 0xffu;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_VALUE_CHUNKS_H_
