// A library that is bound to one torch, by a class of c10.
#include <c10/core/Device.h>

extern "C" __attribute__((visibility("default"))) int stablekv_build_info(const char* text) {
  return c10::Device(std::string(text)).index();
}
