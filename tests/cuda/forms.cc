// Links the code of forms.cu into a library.
int CudaVersion();

// 13.0 is 1300.
extern "C" __attribute__((visibility("default"))) int stablekv_cuda_version() {
  return CudaVersion();
}
