// The vector units that tests of attention on the CPU go through, and the types.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_TEST_UNITS_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_TEST_UNITS_H_

#include <vector>

#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/types.h"

namespace stablekv::testing {

inline constexpr ElementType kElements[] = {ElementType::kFloat32, ElementType::kFloat16,
                                            ElementType::kBFloat16};
inline constexpr CacheType kCaches[] = {CacheType::kAuto, CacheType::kFp8E4M3, CacheType::kFp8E5M2};

struct Unit {
  const char* name;
  AttentionFunctions functions;
};

// Every vector unit that this machine has. What AVX-512's 16 lanes ask of the code around them is
// checked everywhere, with 16 portable lanes.
const std::vector<Unit>& Units();

// Which of kCpuIsas those are not, too.
void SayWhichIsas();

}  // namespace stablekv::testing

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_TEST_UNITS_H_
