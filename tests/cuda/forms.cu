// The least that has device code, and says which nvcc made it.
__global__ void Forms(float* x) { x[threadIdx.x] += 1.0f; }

void Launch(float* x) { Forms<<<1, 32>>>(x); }

int CudaVersion() { return __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__; }
