// Operators that say what they are called with: the values as an error's text.
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "csrc/libtorch_stable/library.h"

namespace {

using stablekv::StringArg;
using stablekv::Tensor;

void Values(int64_t a, double b, bool c, const StringArg& d, std::optional<int64_t> e,
            const std::optional<Tensor>& f) {
  uint64_t bits;
  std::memcpy(&bits, &b, sizeof(bits));
  std::ostringstream text;
  text << a << ' ' << bits << ' ' << c << " [" << std::string_view(d) << "] ";
  if (e.has_value()) text << *e;
  text << ' ';
  if (f.has_value()) {
    int64_t dim;
    aoti_torch_get_dim(f->get(), &dim);
    text << dim;
  }
  throw std::runtime_error(text.str());
}

void TwoNumbers(int64_t, int64_t) {}

}  // namespace

STABLEKV_LIBRARY_FRAGMENT(stablekv_boxed, library) {
  library.def("values(int a, float b, bool c, str d, int? e, Tensor? f) -> ()");
  library.def("too_few(int a) -> ()");
  library.def("returns(int a, int b) -> int");
}

STABLEKV_LIBRARY_IMPL(stablekv_boxed, CompositeExplicitAutograd, library) {
  library.impl("values", STABLEKV_KERNEL(&Values));
  library.impl("too_few", STABLEKV_KERNEL(&TwoNumbers));
  library.impl("returns", STABLEKV_KERNEL(&TwoNumbers));
}
