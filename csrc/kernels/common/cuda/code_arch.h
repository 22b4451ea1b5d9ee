// Which architecture the code of this build was compiled for, where it runs.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_CODE_ARCH_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_CODE_ARCH_H_

namespace stablekv {

// 10 times the compute capability, 90 for sm_90a: __CUDA_ARCH__ / 10 of the kernels that the
// current device runs. Less than the device's own where the driver compiles PTX of an older
// architecture; what such code leaves out must not be counted on. 0 if there is no current device,
// or no code for it. Asks the runtime once for each device.
int CodeArch();

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_CODE_ARCH_H_
