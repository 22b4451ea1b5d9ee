// How elements of the cache come to lie in the lanes of vectors, and how lanes are added up.
//
// A load brings Vec::kParts<format> neighbouring elements to each lane: element kParts j + p is
// lane j of vector p. What is multiplied with them, queries or weights, is brought into that order
// first.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_LANES_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_LANES_CPU_H_

#include <cstdint>

namespace stablekv {

template <class Vec>
struct AttentionLanes {
  using Float = typename Vec::Float;

  // Units of kUnit floats, each: to[s, p, j] = from[kParts (s kLanes + j) + p].
  template <int kParts, int kUnit>
  static void Reorder(const float* from, int64_t size, float* to) {
    constexpr int kUnitLanes = kUnit / kParts < Vec::kLanes ? kUnit / kParts : Vec::kLanes;
    for (int64_t unit = 0; unit < size; unit += kUnit) {
#pragma GCC unroll 32
      for (int i = 0; i < kUnit; ++i) {
        const int s = i / (kUnitLanes * kParts);
        const int p = i / kUnitLanes % kParts;
        to[unit + i] = from[unit + kParts * (s * kUnitLanes + i % kUnitLanes) + p];
      }
    }
  }

  // Not `= {}`, which compilers make a call or a string instruction of.
  template <int kRows, int kHeads>
  static void Clear(Float (*vectors)[kRows][kHeads]) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int h = 0; h < kHeads; ++h) (*vectors)[r][h] = Vec::Set(0);
    }
  }

  // Adds up every kPeriod lanes: vector r of head h gives kLanes / kPeriod sums. In row h of `out`
  // those of kRunRows vectors follow each other, and the next run begins run_pitch after it.
  template <int kPeriod, int kRunRows, int kRows, int kHeads>
  static void WriteSums(const Float (&vectors)[kRows][kHeads], float* out, int64_t out_pitch,
                        int64_t run_pitch) {
    constexpr int kVectors = kRows * kHeads;
    constexpr int kOfRun = kRunRows * Vec::kLanes / kPeriod;
    constexpr int kWhole = (kVectors + kPeriod - 1) / kPeriod;
    alignas(64) float sums[kWhole * Vec::kLanes];
#pragma GCC unroll 32
    for (int i = 0; i < kWhole; ++i) {
      Float group[kPeriod];
#pragma GCC unroll 16
      for (int j = 0; j < kPeriod; ++j) {
        const int at = i * kPeriod + j;
        group[j] =
            at < kVectors ? vectors[at % kRows][at < kVectors ? at / kRows : 0] : Vec::Set(0);
      }
#pragma GCC unroll 4
      for (int count = kPeriod; count > 1; count /= 2) {
#pragma GCC unroll 8
        for (int j = 0; j < count / 2; ++j) {
          group[j] = Vec::PairSums(group[2 * j], group[2 * j + 1]);
        }
      }
      Vec::Store(sums + i * Vec::kLanes, group[0]);
    }
#pragma GCC unroll 8
    for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
      for (int run = 0; run < kRows / kRunRows; ++run) {
        __builtin_memcpy(out + h * out_pitch + run * run_pitch,
                         sums + (h * kRows / kRunRows + run) * kOfRun, kOfRun * sizeof(float));
      }
    }
  }

  template <int kHeads>
  struct Heads {
    static constexpr int kCount = kHeads;
  };

  // Calls run(Heads<N>()) for the N heads that are worked on at once when `heads` are left; up to
  // one of them may be padding.
  template <class Run>
  static void ForTile(int64_t heads, const Run& run) {
    constexpr int kSix = Vec::kTileHeads < 6 ? Vec::kTileHeads : 6;
    if (heads == 1) return run(Heads<1>());
    if (heads == 2) return run(Heads<2>());
    if (heads <= 4) return run(Heads<4>());
    if (heads <= kSix) return run(Heads<kSix>());
    return run(Heads<Vec::kTileHeads>());
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_LANES_CPU_H_
