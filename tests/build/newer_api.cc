// Uses an API of torch 2.13 while the target is 2.10.
#include <torch/csrc/stable/accelerator.h>

void* Stream() { return torch::stable::accelerator::getCurrentStream(0).nativeHandle(); }
