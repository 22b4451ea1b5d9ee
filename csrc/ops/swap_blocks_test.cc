#include "csrc/ops/swap_blocks.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A call that is right: 6 blocks of 64 bytes to 8 of them.
struct Call {
  FakeTensor src{"src", DType::kBFloat16, {6, 4, 8}};
  FakeTensor dst{"dst", DType::kUInt8, {8, 64}};
  int64_t block_size_in_bytes = 64;
  std::vector<int64_t> blocks{0, 7, 5, 0, 1, 1};
  FakeTensor block_mapping{"block_mapping", DType::kInt64, {3, 2}};

  Status Prepare(SwapBlocksParams* params) {
    if (block_mapping.address != 0) {
      block_mapping.address = reinterpret_cast<uintptr_t>(blocks.data());
    }
    return PrepareSwapBlocks({src.arg(), dst.arg(), block_size_in_bytes, block_mapping.arg()},
                             params);
  }
};

using Change = std::function<void(Call&)>;

void Refused(const std::string& want, const Change& change) {
  Call call;
  change(call);
  SwapBlocksParams params;
  CHECK_MESSAGE(call.Prepare(&params), "swap_blocks: " + want);
}

void Accepted(const Change& change) {
  Call call;
  change(call);
  SwapBlocksParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
}

void TestParams() {
  Call call;
  call.dst.device = {DeviceType::kCuda, 1};
  call.block_mapping.strides = {1, 3};
  call.blocks = {0, 5, 1, 7, 0, 1};
  SwapBlocksParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.src == call.src.arg().data, "");
  CHECK_THAT(params.dst == call.dst.arg().data, "");
  CHECK_THAT(params.block_mapping == call.blocks.data(), "");
  CHECK_EQUAL(params.block_bytes, 64, "");
  CHECK_EQUAL(params.num_copies, 3, "");
  CHECK_EQUAL(params.mapping_row_stride, 1, "");
  CHECK_EQUAL(params.mapping_column_stride, 3, "");
  CHECK_EQUAL(params.src_on_cuda, false, "");
  CHECK_EQUAL(params.dst_on_cuda, true, "");
  const std::vector<MemoryCopy> copies = ListCopies(params);
  CHECK_EQUAL(copies.size(), size_t{3}, "");
  CHECK_THAT(copies[1].from == static_cast<const uint8_t*>(params.src) + 5 * 64, "");
  CHECK_THAT(copies[1].to == static_cast<const uint8_t*>(params.dst), "");
}

void TestNothingIsCopiedToItself() {
  Call call;
  call.dst.address = call.src.address;  // the last pair is one block
  SwapBlocksParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(ListCopies(params).size(), size_t{2}, "");
}

void TestAccepted() {
  Accepted([](Call&) {});
  Accepted([](Call& c) { c.src.strides = {8, 48, 1}; });  // dimensions in another order
  Accepted([](Call& c) { c.src.device = c.dst.device = {DeviceType::kCuda, 1}; });
  Accepted([](Call& c) { c.src.device = {DeviceType::kCuda, 0}; });
  Accepted([](Call& c) { c.dst.address = c.src.address; });
  Accepted([](Call& c) {  // pinned memory and its view
    c.src.device = {DeviceType::kCuda, 0};
    c.dst.address = c.src.address;
  });
  Accepted([](Call& c) { c.block_mapping.Reshape({0, 2}); });
  Accepted([](Call& c) { c.block_size_in_bytes = 1; });
  Accepted([](Call& c) { c.dst.dtype = DType::kOther; });
  Accepted([](Call& c) {
    c.block_mapping.Reshape({0, 2});
    c.block_size_in_bytes = std::numeric_limits<int64_t>::max();
    for (FakeTensor* tensor : {&c.src, &c.dst, &c.block_mapping}) {
      tensor->sizes[0] = 0;
      tensor->address = 0;
    }
  });
}

void TestRefusedTensors() {
  Refused("src must be on the CPU or on a CUDA device, got a device that no operator runs on",
          [](Call& c) { c.src.device.type = DeviceType::kOther; });
  Refused("dst must be on the CPU or on a CUDA device, got a device that no operator runs on",
          [](Call& c) { c.dst.device.type = DeviceType::kOther; });
  Refused("dst must be on the CPU or on cuda:0 (the device of src), got cuda:1", [](Call& c) {
    c.src.device = {DeviceType::kCuda, 0};
    c.dst.device = {DeviceType::kCuda, 1};
  });
  Refused("src must be a tensor, got None", [](Call& c) {
    c.src.dtype = DType::kNone;
    c.src.device.type = DeviceType::kOther;
  });
  Refused(
      "dst must have memory for all its elements, got a storage that was freed or is too small for "
      "shape [8, 64]",
      [](Call& c) { c.dst.address = 0; });
  Refused(
      "src must be without gaps between its elements, got strides [64, 8, 1] for shape [6, 4, 8]",
      [](Call& c) { c.src.strides[0] = 64; });
  Refused("dst must be without gaps between its elements, got strides [0, 1] for shape [8, 64]",
          [](Call& c) { c.dst.strides[0] = 0; });
  Refused("block_mapping must be int64, got int32",
          [](Call& c) { c.block_mapping.dtype = DType::kInt32; });
  Refused("block_mapping must be on the CPU, got cuda:0",
          [](Call& c) { c.block_mapping.device.type = DeviceType::kCuda; });
  Refused(
      "block_mapping must have memory for all its elements, got a storage that was freed or is too "
      "small for shape [3, 2]",
      [](Call& c) { c.block_mapping.address = 0; });
  for (const auto& shape : std::vector<std::vector<int64_t>>{{6}, {2, 3}, {1, 3, 2}}) {
    Call call;
    call.block_mapping.Reshape(shape);
    SwapBlocksParams params;
    CHECK_ERROR(call.Prepare(&params),
                "swap_blocks: block_mapping must have shape [num_copies, 2] = "
                "[any, 2], got [");
  }
}

void TestRefusedValues() {
  Refused("block_size_in_bytes must be at least 1, got 0",
          [](Call& c) { c.block_size_in_bytes = 0; });
  Refused("block_size_in_bytes must be at least 1, got -64",
          [](Call& c) { c.block_size_in_bytes = -64; });
  Refused(
      "block_mapping must have blocks of src in column 0, of which there are 6 of 64 bytes, got 6 "
      "at [1, 0]",
      [](Call& c) { c.blocks[2] = 6; });
  Refused(
      "block_mapping must have blocks of dst in column 1, of which there are 8 of 64 bytes, got "
      "-1 at [2, 1]",
      [](Call& c) { c.blocks[5] = -1; });
  Refused(
      "block_mapping must have blocks of dst in column 1, of which there are 8 of 64 bytes, got "
      "9223372036854775807 at [0, 1]",
      [](Call& c) { c.blocks[1] = std::numeric_limits<int64_t>::max(); });
  Refused(
      "block_mapping must have blocks of src in column 0, of which there are 5 of 65 bytes, got 5 "
      "at [1, 0]",
      [](Call& c) {
        c.block_size_in_bytes = 65;
        c.blocks[1] = 6;
      });
  Refused(
      "block_mapping must have blocks of src in column 0, of which there are 0 of 10000 bytes, got "
      "0 at [0, 0]",
      [](Call& c) { c.block_size_in_bytes = 10000; });
  Refused(
      "block_mapping must have pairs of blocks that do not overlap, got source 1 and destination "
      "1, which share memory, at [2]",
      [](Call& c) { c.dst.address = c.src.address + 63; });
  Refused(
      "block_mapping must have pairs of blocks that do not overlap, got source 1 and destination "
      "1, which share memory, at [2]",
      [](Call& c) { c.src.address = c.dst.address + 2; });
  for (const bool to_cuda : {false, true}) {
    Refused(  // pinned memory and its view
        "block_mapping must have pairs of blocks that do not overlap, got source 1 and destination "
        "1, which share memory, at [2]",
        [&](Call& c) {
          (to_cuda ? c.dst : c.src).device = {DeviceType::kCuda, 0};
          c.dst.address = c.src.address + 63;
        });
  }
}

void TestMappingInDst() {
  Refused("dst must share no memory with block_mapping, got overlapping address ranges",
          [](Call& c) { c.dst.address = reinterpret_cast<uintptr_t>(c.blocks.data()); });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestNothingIsCopiedToItself();
  stablekv::TestAccepted();
  stablekv::TestRefusedTensors();
  stablekv::TestRefusedValues();
  stablekv::TestMappingInDst();
  return stablekv::testing::Finish();
}
