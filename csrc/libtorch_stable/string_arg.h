// A `str` argument of an operator.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_STRING_ARG_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_STRING_ARG_H_

#include <torch/csrc/stable/c/shim.h>
#include <torch/headeronly/util/shim_utils.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "csrc/libtorch_stable/target_version.h"

namespace stablekv {

// Owns its handle: torch's own conversion to std::string loses one string a call (torch issue
// 191340, in every release up to 2.13).
class StringArg {
 public:
  explicit StringArg(StringHandle handle) : handle_(handle) {
    size_t length;
    const char* data;
    TORCH_ERROR_CODE_CHECK(torch_string_length(handle, &length));
    TORCH_ERROR_CODE_CHECK(torch_string_c_str(handle, &data));
    text_ = std::string_view(data, length);
  }

  operator std::string_view() const { return text_; }

 private:
  struct Delete {
    void operator()(StringHandle handle) const { torch_delete_string(handle); }
  };
  std::unique_ptr<StringOpaque, Delete> handle_;
  std::string_view text_;  // of the handle
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_STRING_ARG_H_
