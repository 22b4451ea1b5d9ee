// Rotates rows of elements by their position, on each of the CPU's vector units.
#ifndef STABLEKV_CSRC_KERNELS_MLA_ROTARY_ROWS_CPU_H_
#define STABLEKV_CSRC_KERNELS_MLA_ROTARY_ROWS_CPU_H_

#include <cstdint>

#include "csrc/kernels/common/cpu_isa.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// The pairs of one position. Cosines and sines are values of the element type.
struct RotaryPosition {
  const float* cos;  // [num_pairs, rounded up to a multiple of 8]
  const float* sin;  // the same
  int64_t num_pairs;
  bool is_neox;  // pair j is elements j and j + num_pairs, otherwise 2j and 2j + 1
};

// Replaces each pair (x, y) of a row, at any alignment, by
//   (x * cos - y * sin, y * cos + x * sin)
// rounding to the element type after every operation, as an expression of 16-bit numbers does. A
// NaN is stored as common/element_bits.h says.
using RotateRow = void (*)(const RotaryPosition& position, uint8_t* row);

// `isa` is one that this machine has.
RotateRow FindRotateRow(ElementType element, CpuIsa isa);

// By element, one table per vector unit.
extern const RotateRow kRotateRowPortable[3];
extern const RotateRow kRotateRowAvx2[3];

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_ROTARY_ROWS_CPU_H_
