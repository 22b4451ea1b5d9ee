// The argument `kv_cache_dtype`: how a cache stores its elements.
#ifndef STABLEKV_CSRC_OPS_KV_CACHE_DTYPE_H_
#define STABLEKV_CSRC_OPS_KV_CACHE_DTYPE_H_

#include <string_view>

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// Resolves `text` and checks that it fits `source` (queries or keys):
//   auto | float16 | bfloat16        as it is; the latter two name the dtype of the source
//   fp8 | fp8_e4m3, fp8_e5m2         one byte an element
// "fp8_ds_mla" is refused: it is the layout of the MLA caches. `also` is one more text that the
// operator takes, and has dealt with before: what was wanted names it.
Status ParseKvCacheDType(const char* op, std::string_view text, const TensorArg& source,
                         CacheType* cache, const char* also = nullptr);

// The dtype of `tensor` holds what `cache` says: the dtype of `source` for kAuto, and uint8 or the
// float8 dtype of the same format otherwise.
Status CheckCacheDType(const char* op, const TensorArg& tensor, std::string_view kv_cache_dtype,
                       CacheType cache, const TensorArg& source);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_KV_CACHE_DTYPE_H_
