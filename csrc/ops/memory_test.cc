#include "csrc/ops/memory.h"

#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// The address of every element, one entry for each.
std::vector<uintptr_t> Addresses(const FakeTensor& tensor) {
  std::vector<uintptr_t> addresses = {tensor.address};
  for (size_t i = 0; i < tensor.sizes.size(); ++i) {
    std::vector<uintptr_t> next;
    for (const uintptr_t address : addresses) {
      for (int64_t j = 0; j < tensor.sizes[i]; ++j) {
        next.push_back(address + j * tensor.strides[i] * SizeOf(tensor.dtype));
      }
    }
    addresses = next;
  }
  return addresses;
}

std::set<uintptr_t> Bytes(const FakeTensor& tensor) {
  std::set<uintptr_t> bytes;
  for (const uintptr_t address : Addresses(tensor)) {
    for (int64_t i = 0; i < SizeOf(tensor.dtype); ++i) bytes.insert(address + i);
  }
  return bytes;
}

bool BruteForceDistinct(const FakeTensor& tensor) {
  const std::vector<uintptr_t> addresses = Addresses(tensor);
  return std::set<uintptr_t>(addresses.begin(), addresses.end()).size() == addresses.size();
}

bool BruteForceOverlap(const FakeTensor& a, const FakeTensor& b) {
  const std::set<uintptr_t> b_bytes = Bytes(b);
  for (const uintptr_t byte : Bytes(a)) {
    if (b_bytes.count(byte) != 0) return true;
  }
  return false;
}

std::mt19937 generator(7);

int64_t Random(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(generator);
}

FakeTensor RandomTensor() {
  FakeTensor tensor("t", Random(0, 1) ? DType::kFloat16 : DType::kUInt8, {});
  tensor.address = 4096;
  for (int64_t i = Random(0, 3); i > 0; --i) {
    tensor.sizes.push_back(Random(0, 9) == 0 ? 0 : Random(1, 4));
    tensor.strides.push_back(Random(0, 12));
  }
  return tensor;
}

void TestDistinctElements() {
  int yes = 0;
  int no = 0;
  for (int i = 0; i < 20000; ++i) {
    const FakeTensor tensor = RandomTensor();
    const bool distinct = HasDistinctElements(tensor.arg());
    CHECK_THAT(!distinct || BruteForceDistinct(tensor), "shares memory, trial " << i);
    ++(distinct ? yes : no);
  }
  CHECK_THAT(yes > 1000 && no > 1000, yes << " distinct, " << no << " not");

  // Any order of dimensions, with gaps, is seen as distinct.
  FakeTensor tensor("t", DType::kFloat32, {3, 4, 5});
  for (const std::vector<int64_t>& strides :
       {std::vector<int64_t>{20, 5, 1}, {1, 3, 12}, {5, 100, 1}, {400, 7, 30}}) {
    tensor.strides = strides;
    CHECK_THAT(HasDistinctElements(tensor.arg()), strides[0] << ", " << strides[1]);
  }
  tensor.strides = {20, 0, 1};
  CHECK_THAT(!HasDistinctElements(tensor.arg()), "expanded");
  tensor.strides = {20, 4, 1};
  CHECK_THAT(!HasDistinctElements(tensor.arg()), "rows one short");
  tensor.strides = {5, 5, 1};
  CHECK_THAT(!HasDistinctElements(tensor.arg()), "two equal strides");
  tensor.sizes = {3, 1, 5};
  tensor.strides = {5, 0, 1};
  CHECK_THAT(HasDistinctElements(tensor.arg()), "the stride of one element does not matter");
}

void TestOverlapAgainstBruteForce() {
  int apart = 0;
  int maybe = 0;
  for (int i = 0; i < 50000; ++i) {
    const FakeTensor a = RandomTensor();
    FakeTensor b = RandomTensor();
    if (Random(0, 1)) {
      b.strides = a.strides;
      b.sizes.resize(a.sizes.size(), 2);
      b.dtype = a.dtype;
    }
    b.address += Random(-20, 20);
    const bool may = MayOverlap(a.arg(), b.arg());
    CHECK_THAT(may == MayOverlap(b.arg(), a.arg()), "not symmetric, trial " << i);
    CHECK_THAT(may || !BruteForceOverlap(a, b), "missed an overlap, trial " << i);
    ++(may ? maybe : apart);
  }
  CHECK_THAT(apart > 1000 && maybe > 1000, apart << " apart, " << maybe << " maybe");
}

// Two slices [3, 2, 4] of one buffer.
void CheckSlices(std::vector<int64_t> strides, int64_t distance, bool want) {
  FakeTensor a("a", DType::kFloat16, {3, 2, 4});
  a.strides = strides;
  FakeTensor b = a;
  b.address += distance * SizeOf(b.dtype);
  CHECK_EQUAL(MayOverlap(a.arg(), b.arg()), want,
              strides[0] << ", " << strides[1] << " at " << distance);
  CHECK_EQUAL(BruteForceOverlap(a, b), want, "the case itself");
}

void TestSlicesOfOneBuffer() {
  CheckSlices({8, 4, 1}, 0, true);
  CheckSlices({8, 4, 1}, 23, true);    // the last element
  CheckSlices({8, 4, 1}, 24, false);   // right behind
  CheckSlices({24, 4, 1}, 8, false);   // query and key of [tokens, 3, heads, head_size]
  CheckSlices({24, 4, 1}, 16, false);  // query and value
  CheckSlices({24, 4, 1}, 7, true);    // one element too near
  CheckSlices({24, 4, 1}, 17, true);   // runs into the next token
  CheckSlices({16, 8, 1}, 4, false);   // [tokens, heads, 2, head_size]
  CheckSlices({16, 8, 1}, 3, true);
  CheckSlices({4, 24, 1}, 12, false);  // heads first
  CheckSlices({37, 8, 1}, 4, false);   // heads of both take turns, tokens have a gap
  CheckSlices({37, 8, 1}, 3, true);
  CheckSlices({37, 8, 1}, 8, true);    // a head further
  CheckSlices({37, 8, 1}, 12, false);  // the other's next head
  CheckSlices({11, 8, 1}, 4, true);    // tokens run into each other
  CheckSlices({29, 13, 2}, 1, false);  // element by element
  CheckSlices({29, 13, 2}, 2, true);
}

void TestSideBySide() {
  FakeTensor first("t", DType::kFloat16, {3, 8});
  FakeTensor second("t", DType::kInt32, {5});  // of another layout
  second.address = first.address + 48;
  CHECK_THAT(!MayOverlap(first.arg(), second.arg()), "right behind");
  second.address -= 1;
  CHECK_THAT(MayOverlap(first.arg(), second.arg()), "one byte too near");
}

// A cache of keys and one of values in one buffer of [blocks, tokens, 2, head_size], a gap between
// blocks that is no multiple of the distance between tokens.
void TestCachesOfOneBuffer() {
  FakeTensor key("key_cache", DType::kBFloat16, {25, 4, 1, 8});
  key.strides = {77, 16, 8, 1};
  FakeTensor value = key;
  for (int64_t distance = 0; distance < 64; ++distance) {  // the extent of a block
    value.address = key.address + static_cast<uintptr_t>(2 * distance);
    const bool want = BruteForceOverlap(key, value);
    CHECK_EQUAL(MayOverlap(key.arg(), value.arg()), want, "at " << distance);
    CHECK_EQUAL(MayOverlap(value.arg(), key.arg()), want, "at " << -distance);
  }
  value.address = key.address + 16;
  CHECK_THAT(!MayOverlap(key.arg(), value.arg()), "side by side");
  // Of as many dimensions as are looked at, then of one more.
  for (FakeTensor* cache : {&key, &value}) {
    cache->sizes.insert(cache->sizes.begin(), 3, 1);
    cache->strides.insert(cache->strides.begin(), 3, 0);
  }
  CHECK_THAT(!MayOverlap(key.arg(), value.arg()), "seven dimensions");
  for (FakeTensor* cache : {&key, &value}) {
    cache->sizes.insert(cache->sizes.begin(), 1);
    cache->strides.insert(cache->strides.begin(), 0);
  }
  CHECK_THAT(MayOverlap(key.arg(), value.arg()), "eight dimensions");
  for (FakeTensor* cache : {&key, &value}) {
    cache->sizes.erase(cache->sizes.begin(), cache->sizes.begin() + 4);
    cache->strides.erase(cache->strides.begin(), cache->strides.begin() + 4);
  }
  value.strides[2] = 5;
  CHECK_THAT(!MayOverlap(key.arg(), value.arg()), "the stride of one element does not matter");
  value.sizes[3] = 9;
  CHECK_THAT(MayOverlap(key.arg(), value.arg()), "an element too wide");
  value = key;
  value.address += 17;
  CHECK_THAT(MayOverlap(key.arg(), value.arg()), "half an element off");
}

void TestSmallThings() {
  CHECK_EQUAL(NumElements(FakeTensor("t", DType::kInt32, {}).arg()), 1, "a scalar");
  CHECK_EQUAL(NumElements(FakeTensor("t", DType::kInt32, {3, 0, 2}).arg()), 0, "empty");
  CHECK_EQUAL(NumElements(FakeTensor("t", DType::kInt32, {3, 5, 2}).arg()), 30, "");
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int64_t kTwoTo32 = int64_t{1} << 32;
  CHECK_EQUAL(NumElements(FakeTensor("t", DType::kInt32, {kTwoTo32, kTwoTo32}).arg()), kMax, "");
  CHECK_EQUAL(NumElements(FakeTensor("t", DType::kInt32, {kTwoTo32, kTwoTo32, 0}).arg()), 0, "");
  CHECK_EQUAL(SaturatingMultiply(6, 7), 42, "");
  CHECK_EQUAL(SaturatingMultiply(kMax, 0), 0, "");
  CHECK_EQUAL(SaturatingMultiply(kMax, 1), kMax, "");
  CHECK_EQUAL(SaturatingMultiply(kTwoTo32, kTwoTo32), kMax, "");
  CHECK_EQUAL(SaturatingAdd(6, 7), 13, "");
  CHECK_EQUAL(SaturatingAdd(kMax - 1, 1), kMax, "");
  CHECK_EQUAL(SaturatingAdd(kMax, 1), kMax, "");
  CHECK_EQUAL(SizeOf(DType::kComplex128), 16, "");
  CHECK_EQUAL(SizeOf(DType::kInt64), 8, "");
  CHECK_EQUAL(SizeOf(DType::kUInt32), 4, "");
  CHECK_EQUAL(SizeOf(DType::kUInt16), 2, "");
  CHECK_EQUAL(SizeOf(DType::kFloat32), 4, "");
  CHECK_EQUAL(SizeOf(DType::kBFloat16), 2, "");
  CHECK_EQUAL(SizeOf(DType::kFloat8E5M2), 1, "");
  FakeTensor other("t", DType::kOther, {3});
  other.other_bytes = 16;
  CHECK_EQUAL(SizeOf(other.arg()), 16, "");
}

void TestFitsInto() {
  FakeTensor tensor("t", DType::kInt32, {3, 2});
  CHECK_THAT(FitsInto(tensor.arg(), 0, 24), "just");
  CHECK_THAT(!FitsInto(tensor.arg(), 0, 23), "");
  CHECK_THAT(FitsInto(tensor.arg(), 5, 44) && !FitsInto(tensor.arg(), 5, 43), "from an offset on");
  tensor.strides = {0, 10};
  CHECK_THAT(FitsInto(tensor.arg(), 0, 44) && !FitsInto(tensor.arg(), 0, 43), "with gaps");
  tensor.Reshape({0, 2});
  CHECK_THAT(FitsInto(tensor.arg(), 7, 0), "no elements");
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestDistinctElements();
  stablekv::TestOverlapAgainstBruteForce();
  stablekv::TestSlicesOfOneBuffer();
  stablekv::TestSideBySide();
  stablekv::TestCachesOfOneBuffer();
  stablekv::TestSmallThings();
  stablekv::TestFitsInto();
  return stablekv::testing::Finish();
}
