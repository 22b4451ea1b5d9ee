#include "csrc/kernels/cache/scatter_rows_cpu.h"

#include <algorithm>
#include <cstring>

#include "csrc/kernels/cache/transpose_cpu.h"

namespace stablekv {
namespace {

// `kBytes` of a key chunk, or any number when it is 0.
template <int64_t kBytes>
void CopyChunk(const TokenRows& rows, const uint8_t* from, int64_t bytes, int64_t chunk_bytes,
               uint8_t* to) {
  for (int64_t t = 0; t < rows.tokens; ++t) {
    memcpy(to + t * chunk_bytes, from + t * rows.stride,
           static_cast<size_t>(kBytes > 0 ? kBytes : bytes));
  }
}

// Elements [d, end_d) of tokens [t, end_t).
template <int64_t kBytes>
void TransposeSlowly(const TokenRows& rows, int64_t d, int64_t end_d, int64_t t, int64_t end_t,
                     int64_t row_bytes, uint8_t* to) {
  for (; d < end_d; ++d) {
    for (int64_t i = t; i < end_t; ++i) {
      memcpy(to + d * row_bytes + i * kBytes, rows.data + i * rows.stride + d * kBytes, kBytes);
    }
  }
}

template <int64_t kBytes>
void Transpose(const TokenRows& rows, int64_t row_bytes, uint8_t* to) {
  constexpr int64_t kSide = 16 / kBytes;
  const int64_t square_d = rows.count / kSide * kSide;
  const int64_t square_t = rows.tokens / kSide * kSide;
  for (int64_t d = 0; d < square_d; d += kSide) {
    for (int64_t t = 0; t < square_t; t += kSide) {
      TransposeSquare<kBytes>(rows.data + t * rows.stride + d * kBytes, rows.stride,
                              to + d * row_bytes + t * kBytes, row_bytes);
    }
  }
  TransposeSlowly<kBytes>(rows, 0, square_d, square_t, rows.tokens, row_bytes, to);
  TransposeSlowly<kBytes>(rows, square_d, rows.count, 0, rows.tokens, row_bytes, to);
}

}  // namespace

void ScatterKeys(const PageShape& shape, const TokenRows& rows, int64_t offset, uint8_t* page) {
  const int64_t chunk_bytes = shape.x * shape.element_bytes;
  const int64_t end = rows.first + rows.count;
  for (int64_t d = rows.first; d < end;) {
    const int64_t within = d % shape.x;
    const int64_t count = std::min(shape.x - within, end - d);
    const uint8_t* const from = rows.data + (d - rows.first) * shape.element_bytes;
    uint8_t* const to = page + (d / shape.x * shape.block_size + offset) * chunk_bytes +
                        within * shape.element_bytes;
    const int64_t bytes = count * shape.element_bytes;
    if (bytes == 16) {
      CopyChunk<16>(rows, from, bytes, chunk_bytes, to);
    } else {
      CopyChunk<0>(rows, from, bytes, chunk_bytes, to);
    }
    d += count;
  }
}

void ScatterValues(const PageShape& shape, const TokenRows& rows, int64_t offset, uint8_t* page) {
  const int64_t row_bytes = shape.block_size * shape.element_bytes;
  uint8_t* const to = page + rows.first * row_bytes + offset * shape.element_bytes;
  if (shape.element_bytes == 1) {
    Transpose<1>(rows, row_bytes, to);
  } else if (shape.element_bytes == 2) {
    Transpose<2>(rows, row_bytes, to);
  } else {
    Transpose<4>(rows, row_bytes, to);
  }
}

}  // namespace stablekv
