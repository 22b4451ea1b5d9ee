// out[i] = min(in[i] + amount, 255) on a CUDA device; no torch.
#ifndef BRIGHTEN_H_
#define BRIGHTEN_H_

#include <cstdint>

struct CUstream_st;

// Returns nullptr, or what CUDA says of the launch. Asynchronous on `stream`.
const char* BrightenCuda(const uint8_t* in, uint8_t* out, int64_t size, uint8_t amount,
                         CUstream_st* stream);

#endif  // BRIGHTEN_H_
