// A `str` argument of an operator.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_STRING_ARG_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_STRING_ARG_H_

#include <torch/csrc/stable/library.h>
#include <torch/headeronly/util/shim_utils.h>

#include <memory>
#include <string>
#include <string_view>

#include "csrc/libtorch_stable/target_version.h"

namespace stablekv {

// Stands for std::string in the signature of a boxed function: the headers' own conversion to
// std::string loses one string a call (torch issue 191340, in every release up to 2.13).
struct StringArg {
  std::string text;

  operator std::string_view() const { return text; }
};

}  // namespace stablekv

namespace torch::stable::detail {

template <>
struct ToImpl<stablekv::StringArg> {
  static stablekv::StringArg call(StableIValue value, uint64_t /*build_version*/,
                                  bool /*is_internal*/) {
    struct Delete {
      void operator()(StringOpaque* handle) const { torch_delete_string(handle); }
    };
    const std::unique_ptr<StringOpaque, Delete> handle(to<StringHandle>(value));
    size_t length;
    const char* data;
    TORCH_ERROR_CODE_CHECK(torch_string_length(handle.get(), &length));
    TORCH_ERROR_CODE_CHECK(torch_string_c_str(handle.get(), &data));
    return {std::string(data, length)};
  }
};

}  // namespace torch::stable::detail

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_STRING_ARG_H_
