// swap_blocks and swap_blocks_batch on CUDA against the CPU: all bytes of both sides.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "csrc/kernels/cache/swap_blocks.h"
#include "csrc/kernels/cache/swap_blocks_batch.h"
#include "csrc/kernels/common/cuda/test_inputs.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {
namespace {

enum class Place { kDevice, kPageable, kPinned };

const char* Name(Place place) {
  return place == Place::kDevice ? "device" : place == Place::kPinned ? "pinned" : "pageable";
}

// A copy of `bytes` somewhere, that begins `shift` bytes into its memory.
class Memory {
 public:
  Memory(const std::vector<uint8_t>& bytes, Place place, int64_t shift)
      : size_(bytes.size()), shift_(shift), place_(place) {
    const size_t all = size_ + shift_ + 1;
    if (place == Place::kDevice) {
      Must(cudaMalloc(&base_, all), "cudaMalloc");
    } else if (place == Place::kPinned) {
      Must(cudaMallocHost(&base_, all), "cudaMallocHost");
    } else {
      pageable_.resize(all);
      base_ = pageable_.data();
    }
    Must(cudaMemcpy(data(), bytes.data(), size_, cudaMemcpyDefault), "copy to the memory");
    // A small copy from pageable memory returns before it is done, and streams of ours do not wait.
    Must(cudaDeviceSynchronize(), "wait for the memory");
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    if (place_ == Place::kDevice) cudaFree(base_);
    if (place_ == Place::kPinned) cudaFreeHost(base_);
  }

  uint8_t* data() const { return static_cast<uint8_t*>(base_) + shift_; }
  bool on_cuda() const { return place_ == Place::kDevice; }
  std::vector<uint8_t> Read() const {
    std::vector<uint8_t> bytes(size_);
    Must(cudaMemcpy(bytes.data(), data(), size_, cudaMemcpyDefault), "copy from the memory");
    return bytes;
  }

 private:
  void* base_ = nullptr;
  std::vector<uint8_t> pageable_;
  size_t size_;
  size_t shift_;
  Place place_;
};

void RunAndWait(const std::string& name, const Status& enqueued, cudaStream_t stream) {
  Expect(enqueued.ok(), name + ": " + enqueued.message());
  Must(cudaStreamSynchronize(stream), "wait for the copies");
}

// ---- swap_blocks --------------------------------------------------------------------------------

struct SwapCase {
  std::string name;
  std::vector<int64_t> mapping;  // source and destination of each row
  int64_t block_bytes;
  int64_t shift;
  Place src;
  Place dst;
  bool one_buffer;
  bool transposed;  // the mapping's memory
};

constexpr int64_t kBlocks = 2300;       // more than a launch takes
constexpr int64_t kLargeBlock = 17000;  // bytes: several CTAs
constexpr int64_t kLargeBlocks = 12;
constexpr int64_t kDriverBlock = 200000;  // bytes: worth a copy of the driver's

void Run(const SwapCase& c) {
  const std::string name = "swap_blocks " + c.name + " of " + std::to_string(c.block_bytes) +
                           " shift " + std::to_string(c.shift) + " " + Name(c.src) + " to " +
                           Name(c.dst) + (c.one_buffer ? " in one buffer" : "");
  Random random(c.block_bytes + c.shift);
  const int64_t num_blocks = c.block_bytes >= kLargeBlock ? kLargeBlocks : kBlocks;
  std::vector<uint8_t> src = RandomBytes(num_blocks * c.block_bytes, &random);
  std::vector<uint8_t> dst = RandomBytes(num_blocks * c.block_bytes, &random);
  const Memory src_memory(src, c.src, c.shift);
  const Memory dst_memory(dst, c.dst, c.shift);
  const Memory& to = c.one_buffer ? src_memory : dst_memory;

  SwapBlocksParams params = {};
  params.num_copies = static_cast<int64_t>(c.mapping.size()) / 2;
  params.mapping_row_stride = c.transposed ? 1 : 2;
  params.mapping_column_stride = c.transposed ? params.num_copies : 1;
  std::vector<int64_t> mapping(c.mapping.size());
  for (int64_t row = 0; row < params.num_copies; ++row) {
    for (int64_t column = 0; column < 2; ++column) {
      mapping[row * params.mapping_row_stride + column * params.mapping_column_stride] =
          c.mapping[2 * row + column];
    }
  }
  params.block_mapping = mapping.data();
  params.block_bytes = c.block_bytes;
  params.src = src_memory.data();
  params.dst = to.data();
  params.src_on_cuda = src_memory.on_cuda();
  params.dst_on_cuda = to.on_cuda();
  RunAndWait(name, SwapBlocksCuda(params, nullptr), nullptr);

  params.src = src.data();
  params.dst = c.one_buffer ? src.data() : dst.data();
  const Status on_cpu = SwapBlocksCpu(params, &SerialFor);
  Expect(on_cpu.ok(), name + ": on the CPU: " + on_cpu.message());
  Expect(src_memory.Read() == src, name + ": source differs");
  Expect(dst_memory.Read() == dst, name + ": destination differs");
}

std::vector<SwapCase> SwapCases() {
  std::vector<int64_t> many;  // neighbours that continue each other among them
  for (int64_t i = 0; i < kBlocks; ++i) many.insert(many.end(), {i, i < 9 ? i : kBlocks + 8 - i});
  const struct {
    const char* name;
    std::vector<int64_t> mapping;
    bool one_buffer;
  } mappings[] = {
      {"none", {}, false},
      {"few", {0, 6, 5, 0, 3, 2, 3, 3}, false},
      {"many", many, false},
      {"the same destination", {0, 3, 1, 3, 2, 3}, false},
      {"apart", {0, 6, 1, 7, 2, 11, 5, 8}, true},
      {"a chain", {0, 1, 1, 2, 2, 3, 3, 0}, true},
      {"onto itself", {4, 4, 0, 4, 4, 5}, true},
  };
  const struct {
    Place src;
    Place dst;
  } ways[] = {{Place::kDevice, Place::kDevice},
              {Place::kPageable, Place::kDevice},
              {Place::kPinned, Place::kDevice},
              {Place::kDevice, Place::kPageable},
              {Place::kDevice, Place::kPinned}};
  std::vector<SwapCase> cases;
  for (const auto& mapping : mappings) {
    for (const auto& way : ways) {
      if (mapping.one_buffer && way.src != way.dst) continue;
      for (const int64_t block_bytes :
           {int64_t{1}, int64_t{36}, int64_t{64}, kLargeBlock, kDriverBlock}) {
        if (block_bytes >= kLargeBlock && mapping.mapping.size() > 2 * kLargeBlocks) continue;
        for (const int64_t shift : {0, 1, 4}) {
          cases.push_back({mapping.name, mapping.mapping, block_bytes, shift, way.src, way.dst,
                           mapping.one_buffer, shift == 4});
        }
      }
    }
  }
  return cases;
}

// Memory of the CPU of which one half is pinned: a kernel would fault on the other.
void RunHalfPinned() {
  constexpr int64_t kBlock = 4096;  // bytes: a page
  constexpr int64_t kPages = 16;
  const std::string name = "swap_blocks to memory of which half is pinned";
  Random random(5);
  const std::vector<uint8_t> src = RandomBytes(kPages * kBlock, &random);
  std::vector<uint8_t> dst = RandomBytes(kPages * kBlock, &random);
  const Memory on_device(src, Place::kDevice, 0);
  std::vector<uint8_t> memory(dst.size() + kBlock);
  uint8_t* const aligned =
      memory.data() + (kBlock - reinterpret_cast<uintptr_t>(memory.data()) % kBlock) % kBlock;
  std::copy(dst.begin(), dst.end(), aligned);
  Must(cudaHostRegister(aligned, kPages / 2 * kBlock, cudaHostRegisterDefault), "register");
  const std::vector<int64_t> mapping{0, 1, 2, 15, 4, 8, 7, 7};
  SwapBlocksParams params = {};
  params.num_copies = 4;
  params.mapping_row_stride = 2;
  params.mapping_column_stride = 1;
  params.block_mapping = mapping.data();
  params.block_bytes = kBlock;
  params.src = on_device.data();
  params.dst = aligned;
  params.src_on_cuda = true;
  RunAndWait(name, SwapBlocksCuda(params, nullptr), nullptr);
  params.src = src.data();
  params.dst = dst.data();
  Expect(SwapBlocksCpu(params, &SerialFor).ok(), name + ": on the CPU");
  Expect(std::equal(dst.begin(), dst.end(), aligned), name + ": destination differs");
  Must(cudaHostUnregister(aligned), "unregister");
}

// ---- swap_blocks_batch --------------------------------------------------------------------------

struct BatchCase {
  int64_t count;
  Place src;
  Place dst;
  bool own_stream;  // the default stream takes no batch of the driver
  bool any_order;
};

void Run(const BatchCase& c) {
  const std::string name = "swap_blocks_batch of " + std::to_string(c.count) + " " + Name(c.src) +
                           " to " + Name(c.dst) + (c.own_stream ? " own stream" : "") +
                           (c.any_order ? " any order" : "");
  constexpr int64_t kPitch = 50;  // bytes of the destination that one copy has for itself
  Random random(c.count);
  const std::vector<uint8_t> src = RandomBytes(c.count * kPitch + 100, &random);
  std::vector<uint8_t> dst = RandomBytes(c.count * kPitch, &random);
  const Memory src_memory(src, c.src, 3);
  const Memory dst_memory(dst, c.dst, 1);
  SwapBlocksBatchParams on_cuda = {};
  SwapBlocksBatchParams on_cpu = {};
  on_cuda.src_access_order_any = c.any_order;
  for (int64_t i = 0; i < c.count; ++i) {
    const int64_t from = random.Below(c.count * kPitch);
    const int64_t to = (i * 7 + 3) % c.count * kPitch + random.Below(9);
    const int64_t bytes = 1 + random.Below(kPitch - 9);
    on_cuda.copies.push_back({src_memory.data() + from, dst_memory.data() + to, bytes});
    on_cpu.copies.push_back({src.data() + from, dst.data() + to, bytes});
  }
  cudaStream_t stream = nullptr;
  if (c.own_stream) {
    Must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  }
  RunAndWait(name, SwapBlocksBatchCuda(on_cuda, stream), stream);
  if (c.own_stream) Must(cudaStreamDestroy(stream), "cudaStreamDestroy");
  const Status status = SwapBlocksBatchCpu(on_cpu, &SerialFor);
  Expect(status.ok(), name + ": on the CPU: " + status.message());
  Expect(src_memory.Read() == src, name + ": source differs");
  Expect(dst_memory.Read() == dst, name + ": destination differs");
}

std::vector<BatchCase> BatchCases() {
  std::vector<BatchCase> cases;
  for (const bool own_stream : {false, true}) {
    for (const bool any_order : {false, true}) {
      for (const int64_t count : {1, 2, 300}) {
        cases.push_back({count, Place::kDevice, Place::kDevice, own_stream, any_order});
        cases.push_back({count, Place::kPinned, Place::kDevice, own_stream, any_order});
        cases.push_back({count, Place::kDevice, Place::kPinned, own_stream, any_order});
        cases.push_back({count, Place::kDevice, Place::kPageable, own_stream, any_order});
      }
    }
    cases.push_back({10000, Place::kDevice, Place::kDevice, own_stream, false});  // two batches
  }
  return cases;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  if (!t::HaveDevice("swap_cuda_test")) return 0;
  const std::vector<t::SwapCase> swaps = t::SwapCases();
  for (const t::SwapCase& c : swaps) t::Run(c);
  t::RunHalfPinned();
  const std::vector<t::BatchCase> batches = t::BatchCases();
  for (const t::BatchCase& c : batches) t::Run(c);
  return t::Report("swap_cuda_test", static_cast<int>(swaps.size() + 1 + batches.size()));
}
