// What was built, readable without torch's dispatcher: ctypes.CDLL(path).stablekv_build_info().
#include "csrc/libtorch_stable/target_version.h"

#ifndef STABLEKV_NAMESPACE
#define STABLEKV_NAMESPACE _C
#endif
#ifndef STABLEKV_CACHE_NAMESPACE
#define STABLEKV_CACHE_NAMESPACE _C_cache_ops
#endif
#ifdef STABLEKV_WITH_CUDA
#define STABLEKV_CUDA_JSON "true"
#else
#define STABLEKV_CUDA_JSON "false"
#endif
#ifndef STABLEKV_CUDA_ARCHS  // sm_80,sm_90a
#define STABLEKV_CUDA_ARCHS
#endif

#define STABLEKV_TEXT_OF_TOKENS(...) #__VA_ARGS__
#define STABLEKV_TEXT(...) STABLEKV_TEXT_OF_TOKENS(__VA_ARGS__)

// A JSON object, static: nothing to free.
extern "C" __attribute__((visibility("default"))) const char* stablekv_build_info() {
  return "{\"torch_target\": \"2.10\", \"torch_headers\": \"" TORCH_VERSION
         "\", \"cuda\": " STABLEKV_CUDA_JSON
         ", \"cuda_archs\": \"" STABLEKV_TEXT(STABLEKV_CUDA_ARCHS)
         "\", \"namespace\": \"" STABLEKV_TEXT(STABLEKV_NAMESPACE)
         "\", \"cache_namespace\": \"" STABLEKV_TEXT(STABLEKV_CACHE_NAMESPACE) "\"}";
}
