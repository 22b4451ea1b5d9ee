#include "csrc/libtorch_stable/checked_mode.h"

#include <cstdlib>
#include <cstring>

namespace stablekv {
namespace {

bool IsAskedFor() {
  const char* const value = std::getenv("STABLEKV_CHECK_BOUNDS");
  return value != nullptr && std::strcmp(value, "1") == 0;
}

}  // namespace

const bool kCheckedMode = IsAskedFor();

}  // namespace stablekv
