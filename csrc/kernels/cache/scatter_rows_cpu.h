// Writes rows of stored elements, one per token, into a page of the key or the value cache.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_SCATTER_ROWS_CPU_H_
#define STABLEKV_CSRC_KERNELS_CACHE_SCATTER_ROWS_CPU_H_

#include <cstdint>

namespace stablekv {

// One head of one cache block.
struct PageShape {
  int64_t block_size;     // tokens
  int64_t x;              // elements of a key chunk
  int64_t element_bytes;  // 1, 2 or 4
};

// Elements [first, first + count) of the rows of some tokens that follow each other.
struct TokenRows {
  const uint8_t* data;  // of element `first` of the first token; any alignment
  int64_t stride;       // bytes from token to token
  int64_t tokens;
  int64_t first;
  int64_t count;
};

// page[d / x, offset + t, d % x] = rows[t, d]
void ScatterKeys(const PageShape& shape, const TokenRows& rows, int64_t offset, uint8_t* page);

// page[d, offset + t] = rows[t, d]
void ScatterValues(const PageShape& shape, const TokenRows& rows, int64_t offset, uint8_t* page);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_SCATTER_ROWS_CPU_H_
