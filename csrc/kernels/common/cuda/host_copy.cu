#include <cuda_runtime_api.h>

#include <string>

#include "csrc/kernels/common/host_copy.h"

namespace stablekv {
namespace {

Status StatusOf(const char* what, cudaError_t error) {
  if (error == cudaSuccess) return Status();
  (void)cudaGetLastError();  // it is reported: it must not stay behind
  return Status::Error(std::string(what) + " failed: " + cudaGetErrorString(error));
}

}  // namespace

Status IsCapturing(CudaStream stream, bool* capturing) {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  const cudaError_t error = cudaStreamIsCapturing(stream, &capture);
  if (error == cudaErrorStreamCaptureImplicit) {  // the default stream, while another captures
    (void)cudaGetLastError();
    *capturing = true;
    return Status();
  }
  *capturing = capture != cudaStreamCaptureStatusNone;
  return StatusOf("the question whether a CUDA stream is capturing", error);
}

Status CopyToHost(const void* from, int64_t bytes, void* to, CudaStream stream) {
  STABLEKV_RETURN_IF_ERROR(StatusOf(
      "the copy of an index tensor to the host",
      cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream)));
  return StatusOf("the wait for a copy of an index tensor to the host",
                  cudaStreamSynchronize(stream));
}

}  // namespace stablekv
