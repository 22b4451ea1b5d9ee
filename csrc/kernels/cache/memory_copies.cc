#include "csrc/kernels/cache/memory_copies.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace stablekv {
namespace {

constexpr int64_t kGrainBytes = 256 * 1024;  // worth another thread's while

uintptr_t AddressOf(const uint8_t* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

}  // namespace

bool AreIndependent(const std::vector<MemoryCopy>& copies) {
  if (copies.size() < 2) return true;
  const auto bytes = static_cast<uintptr_t>(copies[0].bytes);
  std::vector<uintptr_t> written;
  written.reserve(copies.size());
  for (const MemoryCopy& copy : copies) written.push_back(AddressOf(copy.to));
  if (!std::is_sorted(written.begin(), written.end())) std::sort(written.begin(), written.end());
  for (size_t i = 1; i < written.size(); ++i) {
    if (written[i] - written[i - 1] < bytes) return false;
  }
  // No copy overlaps itself, so whatever overlaps a source is the destination of another copy.
  for (const MemoryCopy& copy : copies) {
    const uintptr_t from = AddressOf(copy.from);
    const auto next = std::lower_bound(written.begin(), written.end(), from);
    if (next != written.end() && *next - from < bytes) return false;
    if (next != written.begin() && from - *(next - 1) < bytes) return false;
  }
  return true;
}

void RunCopies(const std::vector<MemoryCopy>& copies, ParallelFor parallel_for) {
  std::vector<int64_t> ends;  // of each copy, in the bytes of all copies
  ends.reserve(copies.size());
  int64_t total = 0;
  for (const MemoryCopy& copy : copies) ends.push_back(total += copy.bytes);
  RunParallel(parallel_for, total, kGrainBytes, [&](int64_t begin, int64_t end) {
    auto i = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
    while (begin < end) {
      const MemoryCopy& copy = copies[i];
      const int64_t skipped = begin - (ends[i] - copy.bytes);
      const int64_t count = std::min(end, ends[i]) - begin;
      memcpy(copy.to + skipped, copy.from + skipped, static_cast<size_t>(count));
      begin += count;
      ++i;
    }
  });
}

void RunCopiesInOrder(const std::vector<MemoryCopy>& copies) {
  for (const MemoryCopy& copy : copies) {
    memcpy(copy.to, copy.from, static_cast<size_t>(copy.bytes));
  }
}

}  // namespace stablekv
