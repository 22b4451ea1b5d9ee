// A header of CUDA, in a target that does not depend on CUDA.
#include <cuda_runtime.h>
