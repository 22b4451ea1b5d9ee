// A kernel must not see torch: what it depends on brings no header of it.
#include <torch/csrc/stable/tensor.h>

#include "csrc/kernels/attention/paged_attention.h"
