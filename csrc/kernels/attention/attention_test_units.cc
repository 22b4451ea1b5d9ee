#include "csrc/kernels/attention/attention_test_units.h"

#include <iostream>
#include <vector>

#include "csrc/kernels/attention/attention_items_cpu.h"
#include "csrc/kernels/common/cpu_isa.h"
#include "csrc/kernels/common/vec_portable.h"

namespace stablekv::testing {

const std::vector<Unit>& Units() {
  static const std::vector<Unit> units = [] {
    using Wide = AttentionItems<portable::VecOf<16>>;
    std::vector<Unit> found = {{"portable", kAttentionPortable},
                               {"wide", {&Wide::RunItems, &Wide::CombineRows}}};
#ifdef __x86_64__
    if (HasCpuIsa(CpuIsa::kAvx2)) found.push_back({"avx2", kAttentionAvx2});
    if (HasCpuIsa(CpuIsa::kAvx512)) found.push_back({"avx512", kAttentionAvx512});
    if (HasCpuIsa(CpuIsa::kAvx512Vbmi)) found.push_back({"avx512_vbmi", kAttentionAvx512Vbmi});
    if (HasCpuIsa(CpuIsa::kAvx512Bf16)) found.push_back({"avx512_bf16", kAttentionAvx512Bf16});
    if (HasCpuIsa(CpuIsa::kAmx)) found.push_back({"amx", kAttentionAmx});
#endif
    return found;
  }();
  return units;
}

void SayWhichIsas() {
  for (const CpuIsa isa : kCpuIsas) {
    std::cerr << NameOf(isa)
              << (HasCpuIsa(isa) ? ": tested\n" : ": not tested, not on this machine\n");
  }
}

}  // namespace stablekv::testing
