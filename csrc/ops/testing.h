// For tests of the checks: tensors that have an address but no memory, and whole messages.
#ifndef STABLEKV_CSRC_OPS_TESTING_H_
#define STABLEKV_CSRC_OPS_TESTING_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "csrc/kernels/common/testing.h"
#include "csrc/ops/memory.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv::testing {

// A contiguous tensor on the CPU with addresses of its own; tests change the fields. Nothing is
// ever read or written there.
struct FakeTensor {
  FakeTensor(const char* name, DType dtype, std::vector<int64_t> sizes)
      : name(name), dtype(dtype), address(NextAddress()) {
    Reshape(std::move(sizes));
  }

  void Reshape(std::vector<int64_t> new_sizes) {
    sizes = std::move(new_sizes);
    strides.assign(sizes.size(), 1);
    for (size_t i = sizes.size(); i-- > 1;) {
      strides[i - 1] = SaturatingMultiply(strides[i], sizes[i] == 0 ? 1 : sizes[i]);
    }
  }

  TensorArg arg() const {
    return {name,
            reinterpret_cast<void*>(address),
            sizes.data(),
            strides.data(),
            static_cast<int64_t>(sizes.size()),
            dtype,
            device,
            other_bytes,
            other_number};
  }

  const char* name;
  DType dtype;
  Device device;
  int32_t other_bytes = 1;
  int32_t other_number = 0;
  uintptr_t address;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;

 private:
  // 2^32 bytes apart, more than any tensor of the tests.
  static uintptr_t NextAddress() {
    static uintptr_t next = 0;
    return next += uintptr_t{1} << 32;
  }
};

}  // namespace stablekv::testing

// The Status `expression` has exactly the message `want`; "" is ok.
#define CHECK_MESSAGE(expression, want)                                                    \
  do {                                                                                     \
    const ::stablekv::Status stablekv_got = (expression);                                  \
    const std::string stablekv_wanted = (want);                                            \
    CHECK_THAT(stablekv_got.message() == stablekv_wanted,                                  \
               "\n   got: " << stablekv_got.message() << "\n  want: " << stablekv_wanted); \
  } while (false)

#endif  // STABLEKV_CSRC_OPS_TESTING_H_
