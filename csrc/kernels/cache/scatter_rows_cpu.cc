#include "csrc/kernels/cache/scatter_rows_cpu.h"

#include <algorithm>
#include <cstring>

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

template <int64_t kBytes>
void Transpose(const TokenRows& rows, int64_t row_bytes, uint8_t* to) {
  for (int64_t d = 0; d < rows.count; ++d) {
    for (int64_t t = 0; t < rows.tokens; ++t) {
      memcpy(to + d * row_bytes + t * kBytes, rows.data + t * rows.stride + d * kBytes, kBytes);
    }
  }
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
