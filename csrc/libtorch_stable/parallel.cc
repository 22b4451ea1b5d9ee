#include "csrc/libtorch_stable/parallel.h"

#include <torch/csrc/stable/c/shim.h>
#include <torch/headeronly/util/shim_utils.h>

#include <atomic>
#include <exception>

#include "csrc/libtorch_stable/torch.h"

namespace stablekv {
namespace {

struct Guarded {
  void (*body)(int64_t, int64_t, void*);
  void* context;
  std::atomic_flag failed = ATOMIC_FLAG_INIT;
  std::exception_ptr exception = nullptr;  // of whoever set `failed`

  // Nothing may be thrown through the C interface and the threads behind it.
  static void Run(int64_t begin, int64_t end, void* self) noexcept {
    auto* guarded = static_cast<Guarded*>(self);
    try {
      guarded->body(begin, end, guarded->context);
    } catch (...) {
      if (!guarded->failed.test_and_set()) guarded->exception = std::current_exception();
    }
  }
};

}  // namespace

void TorchParallelFor(int64_t begin, int64_t end, int64_t grain,
                      void (*body)(int64_t, int64_t, void*), void* context) {
  if (begin >= end) return;
  Guarded guarded{body, context};
  TORCH_ERROR_CODE_CHECK(
      torch_parallel_for(begin, end, grain < 1 ? 1 : grain, &Guarded::Run, &guarded));
  if (guarded.exception) std::rethrow_exception(guarded.exception);
}

}  // namespace stablekv
