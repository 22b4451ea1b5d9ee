// torch.ops.planner.blocks_for: how many blocks hold so many tokens.
#include <torch/csrc/stable/library.h>

#include <stdexcept>

namespace {

int64_t BlocksFor(int64_t tokens, int64_t block_size) {
  if (tokens < 0 || block_size < 1)
    throw std::runtime_error("blocks_for: wanted tokens and a size");
  return (tokens + block_size - 1) / block_size;
}

}  // namespace

STABLE_TORCH_LIBRARY(planner, library) {
  library.def("blocks_for(int tokens, int block_size) -> int");
}
STABLE_TORCH_LIBRARY_IMPL(planner, CompositeExplicitAutograd, library) {
  library.impl("blocks_for", TORCH_BOX(&BlocksFor));
}
