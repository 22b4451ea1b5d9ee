// What the processor is said to be, against what Linux says of it.
#include "csrc/kernels/common/cpu_isa.h"

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

// The lines "key : value" of the first processor.
std::map<std::string, std::string> ReadCpuInfo() {
  std::map<std::string, std::string> found;
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && !line.empty()) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t end = line.find_last_not_of(" \t", colon - 1);
    const size_t value = line.find_first_not_of(' ', colon + 1);
    found[line.substr(0, end + 1)] = value == std::string::npos ? "" : line.substr(value);
  }
  return found;
}

// Whether all words of `wanted` are among the flags.
bool HasFlags(const std::string& flags, const std::string& wanted) {
  std::istringstream words(wanted);
  std::string word;
  while (words >> word) {
    if ((" " + flags + " ").find(" " + word + " ") == std::string::npos) return false;
  }
  return true;
}

void TestUnits() {
  const std::string flags = ReadCpuInfo()["flags"];
  const std::string avx2 = "avx2 fma f16c";
  const std::string avx512 = avx2 + " avx512f avx512bw avx512dq avx512vl";
  CHECK_THAT(HasCpuIsa(CpuIsa::kPortable), "every machine");
  CHECK_EQUAL(HasCpuIsa(CpuIsa::kAvx2), HasFlags(flags, avx2), flags);
  CHECK_EQUAL(HasCpuIsa(CpuIsa::kAvx512), HasFlags(flags, avx512), flags);
  const bool vbmi = HasFlags(flags, avx512 + " avx512vbmi");
  CHECK_EQUAL(HasCpuIsa(CpuIsa::kAvx512Vbmi), vbmi, flags);
  const bool tiles = vbmi && HasFlags(flags, "amx_tile amx_bf16");
  const bool pairs = vbmi && !tiles && HasFlags(flags, "avx512_bf16");
  CHECK_EQUAL(HasCpuIsa(CpuIsa::kAvx512Bf16), pairs, flags);
  // Linux may refuse it.
  CHECK_THAT(!HasCpuIsa(CpuIsa::kAmx) || tiles, flags);
  CHECK_THAT(HasCpuIsa(BestCpuIsa()), NameOf(BestCpuIsa()));
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestUnits();
  return stablekv::testing::Finish();
}
