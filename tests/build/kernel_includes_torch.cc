// A kernel must not see torch: what it depends on brings no header of it.
#include "csrc/kernels/attention/paged_attention.h"

#include <torch/csrc/stable/tensor.h>
