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

  // Adds up every kPeriod lanes: head after head, vector r gives kLanes / kPeriod of the sums in
  // `out`, which ends with zeros.
  template <int kPeriod, int kRows, int kHeads, int kCount>
  static void AddUp(const Float (&vectors)[kRows][kHeads], Float (*out)[kCount]) {
    static_assert(kCount == SumVectors<kPeriod>(kRows * kHeads));
#pragma GCC unroll 32
    for (int i = 0; i < kCount; ++i) {
      Float group[kPeriod];
#pragma GCC unroll 16
      for (int j = 0; j < kPeriod; ++j) {
        const int at = i * kPeriod + j;
        group[j] = at < kRows * kHeads ? vectors[at % kRows][at / kRows] : Vec::Set(0);
      }
      (*out)[i] = Vec::template InOrder<kPeriod>(AddPairs<1>(&group));
    }
  }

  // How many vectors AddUp makes of `vectors`.
  template <int kPeriod>
  static constexpr int SumVectors(int vectors) {
    return (vectors + kPeriod - 1) / kPeriod;
  }

  // Stores sums of AddUp. In row h of `out`, for the first `heads`, those of kRunRows vectors
  // follow each other, and the next run begins run_pitch after it.
  template <int kPeriod, int kRunRows, int kRows, int kHeads, int kCount>
  static void WriteSums(const Float (&sums)[kCount], int64_t heads, float* out, int64_t out_pitch,
                        int64_t run_pitch) {
    constexpr int kOfRun = kRunRows * Vec::kLanes / kPeriod;
    alignas(64) float lanes[kCount * Vec::kLanes];
#pragma GCC unroll 32
    for (int i = 0; i < kCount; ++i) Vec::Store(lanes + i * Vec::kLanes, sums[i]);
#pragma GCC unroll 8
    for (int h = 0; h < kHeads; ++h) {
      if (h >= heads) break;
#pragma GCC unroll 4
      for (int run = 0; run < kRows / kRunRows; ++run) {
        __builtin_memcpy(out + h * out_pitch + run * run_pitch,
                         lanes + (h * kRows / kRunRows + run) * kOfRun, kOfRun * sizeof(float));
      }
    }
  }

  template <int kHeads>
  struct Heads {
    static constexpr int kCount = kHeads;
  };

  // Calls run(Heads<N>()) for the N heads that are worked on at once when `heads` are left; up to
  // one of them may be padding, and they are kMost at most.
  template <int kMost, class Run>
  static void ForTile(int64_t heads, const Run& run) {
    static_assert(kMost == 4 || kMost == 8);
    if (heads == 1) return run(Heads<1>());
    if (heads == 2) return run(Heads<2>());
    if (kMost == 4 || heads <= 4) return run(Heads<4>());
    if constexpr (kMost == 8) {
      if (heads <= 6) return run(Heads<6>());
      return run(Heads<8>());
    }
  }

 private:
  // Adds up neighbours until one vector is left; each lane is the sum of kSums lanes before.
  template <int kSums, int kCount>
  static Float AddPairs(Float (*vectors)[kCount]) {
    if constexpr (kCount == 1) {
      return (*vectors)[0];
    } else {
      Float pairs[kCount / 2];
#pragma GCC unroll 8
      for (int i = 0; i < kCount / 2; ++i) {
        pairs[i] = Vec::template PairSums<kSums>((*vectors)[2 * i], (*vectors)[2 * i + 1]);
      }
      return AddPairs<2 * kSums>(&pairs);
    }
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_LANES_CPU_H_
