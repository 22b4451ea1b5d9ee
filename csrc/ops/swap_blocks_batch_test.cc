#include "csrc/ops/swap_blocks_batch.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

// A call that is right: three copies, of which the second has no bytes.
struct Call {
  std::vector<int64_t> src{1000, 0, 5000};
  std::vector<int64_t> dst{2000, 0, 4900};
  std::vector<int64_t> bytes{1000, 0, 100};
  FakeTensor src_ptrs{"src_ptrs", DType::kInt64, {3}};
  FakeTensor dst_ptrs{"dst_ptrs", DType::kInt64, {3}};
  FakeTensor sizes{"sizes", DType::kInt64, {3}};
  bool any = false;

  Status Prepare(SwapBlocksBatchParams* params) {
    const auto place = [](FakeTensor& tensor, const std::vector<int64_t>& values) {
      if (tensor.address != 0) tensor.address = reinterpret_cast<uintptr_t>(values.data());
    };
    place(src_ptrs, src);
    place(dst_ptrs, dst);
    place(sizes, bytes);
    return PrepareSwapBlocksBatch({src_ptrs.arg(), dst_ptrs.arg(), sizes.arg(), any}, params);
  }
};

using Change = std::function<void(Call&)>;

void Refused(const std::string& want, const Change& change) {
  Call call;
  change(call);
  SwapBlocksBatchParams params;
  CHECK_MESSAGE(call.Prepare(&params), "swap_blocks_batch: " + want);
}

void CheckCopy(const MemoryCopy& copy, int64_t from, int64_t to, int64_t bytes) {
  CHECK_EQUAL(reinterpret_cast<int64_t>(copy.from), from, "");
  CHECK_EQUAL(reinterpret_cast<int64_t>(copy.to), to, "");
  CHECK_EQUAL(copy.bytes, bytes, "");
}

void TestParams() {
  Call call;
  SwapBlocksBatchParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.src_access_order_any, false, "");
  CHECK_EQUAL(params.copies.size(), size_t{2}, "");
  CheckCopy(params.copies[0], 1000, 2000, 1000);
  CheckCopy(params.copies[1], 5000, 4900, 100);

  call.any = true;
  call.src = {1000, 7, 300, 7};
  call.src_ptrs.Reshape({2});
  call.src_ptrs.strides = {2};
  call.dst_ptrs.Reshape({2});
  call.dst = {9000, 300};
  call.sizes.Reshape({2});
  call.sizes.strides = {0};
  call.bytes = {50};
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.src_access_order_any, true, "");
  CHECK_EQUAL(params.copies.size(), size_t{1}, "the other one is of memory to itself");
  CheckCopy(params.copies[0], 1000, 9000, 50);

  for (FakeTensor* tensor : {&call.src_ptrs, &call.dst_ptrs, &call.sizes}) {
    tensor->Reshape({0});
    tensor->address = 0;
  }
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.copies.size(), size_t{0}, "");
}

void TestRefused() {
  Refused("src_ptrs must be int64, got int32", [](Call& c) { c.src_ptrs.dtype = DType::kInt32; });
  Refused("dst_ptrs must be on the CPU, got cuda:0",
          [](Call& c) { c.dst_ptrs.device.type = DeviceType::kCuda; });
  Refused(
      "sizes must have memory for all its elements, got a storage that was freed or is too small "
      "for shape [3]",
      [](Call& c) { c.sizes.address = 0; });
  Refused("src_ptrs must have shape [num_copies], got [3, 1]",
          [](Call& c) { c.src_ptrs.Reshape({3, 1}); });
  Refused("dst_ptrs must have shape [num_copies] = [3], got [2]",
          [](Call& c) { c.dst_ptrs.Reshape({2}); });
  Refused("sizes must have shape [num_copies] = [3], got [4]",
          [](Call& c) { c.sizes.Reshape({4}); });
  Refused("sizes must be at least 0, got -1 at [1]", [](Call& c) { c.bytes[1] = -1; });
  Refused("src_ptrs must have the address of 100 bytes, got 0 at [2]",
          [](Call& c) { c.src[2] = 0; });
  Refused("dst_ptrs must have the address of 100 bytes, got -4900 at [2]",
          [](Call& c) { c.dst[2] = -4900; });
  Refused("src_ptrs must have the address of 9223372036854775807 bytes, got 1000 at [0]",
          [](Call& c) { c.bytes[0] = kMax; });
  Refused("dst_ptrs must be 1001 bytes or more from src_ptrs, 1000, got 2000 at [0]",
          [](Call& c) { c.bytes[0] = 1001; });
  Refused("dst_ptrs must be 101 bytes or more from src_ptrs, 5000, got 4900 at [2]",
          [](Call& c) { c.bytes[2] = 101; });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestRefused();
  return stablekv::testing::Finish();
}
