// What was built, readable without torch's dispatcher: ctypes.CDLL(path).stablekv_build_info().
#include <string>

#include "csrc/libtorch_stable/registered.h"
#include "csrc/libtorch_stable/target_version.h"
#ifdef STABLEKV_WITH_CUDA
#include "csrc/kernels/common/cuda/built_archs.h"
#include "csrc/kernels/common/cuda/built_version.h"
#endif

#define STABLEKV_TEXT_OF_TOKENS(...) #__VA_ARGS__
#define STABLEKV_TEXT(...) STABLEKV_TEXT_OF_TOKENS(__VA_ARGS__)

namespace {

#ifdef STABLEKV_WITH_CUDA
const char kCuda[] = "true";
const char* Archs() { return stablekv::BuiltCudaArchs(); }
std::string Version() {
  const int version = stablekv::BuiltCudaVersion();
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}
#else
const char kCuda[] = "false";
const char* Archs() { return ""; }
std::string Version() { return ""; }
#endif

// In one piece, for py/stablekv/_library_file.py, which reads it without loading the file.
const char kNamespaces[] = "\"namespace\": \"" STABLEKV_TEXT(
    STABLEKV_NAMESPACE) "\", \"cache_namespace\": \"" STABLEKV_TEXT(STABLEKV_CACHE_NAMESPACE) "\"";

}  // namespace

// A JSON object, static: nothing to free. `registered` is false when torch refused the operators,
// which are not there then.
extern "C" __attribute__((visibility("default"))) const char* stablekv_build_info() {
  static const std::string info =
      std::string("{\"torch_target\": \"2.10\", \"torch_headers\": \"" TORCH_VERSION
                  "\", \"cuda\": ") +
      kCuda + ", \"cuda_archs\": \"" + Archs() + "\", \"cuda_version\": \"" + Version() + "\", " +
      kNamespaces + ", \"registered\": " + (stablekv::Registered::Refused() ? "false" : "true") +
      "}";
  return info.c_str();
}
