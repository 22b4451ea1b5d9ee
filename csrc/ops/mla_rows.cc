#include "csrc/ops/mla_rows.h"

#include <string>

#include "csrc/ops/describe.h"

namespace stablekv {

Status CheckTokenRows(const char* op, const TensorArg& rows, const Dim& size,
                      const TensorArg& like) {
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, rows, like));
  STABLEKV_RETURN_IF_ERROR(CheckShape(op, rows, {{"num_tokens", kAnySize}, size}));
  if (rows.size(1) < 1) {
    return ArgumentError(op, rows.name, std::string("have a ") + size.name + " of at least 1",
                         "shape " + SizesOf(rows));
  }
  return CheckContiguousFrom(op, rows, 1);
}

Status CheckWrittenEntries(const char* op, const TensorArg& kv_cache, const Dim& entry,
                           const TensorArg& like) {
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, kv_cache, like));
  STABLEKV_RETURN_IF_ERROR(
      CheckShape(op, kv_cache, {{"num_blocks", kAnySize}, {"block_size", kAnySize}, entry}));
  if (kv_cache.size(1) < 1) {
    return ArgumentError(op, kv_cache.name, "have a block size of at least 1", kv_cache.size(1));
  }
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(op, kv_cache, 2));
  return CheckDistinctElements(op, kv_cache);
}

}  // namespace stablekv
