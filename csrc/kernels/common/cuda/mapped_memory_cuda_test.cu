// Where a device finds pinned memory, and that it finds no more than is pinned.
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "csrc/kernels/common/cuda/test_support.h"
#include "csrc/kernels/common/mapped_memory.h"

namespace stablekv::testing {
namespace {

constexpr int64_t kPage = 4096;

void* AddressOf(const uint8_t* host, int64_t bytes) {
  void* address = nullptr;
  const Status status = DeviceAddressOfRange(host, bytes, &address);
  Expect(status.ok(), status.message());
  return address;
}

// [first, first + size) is pinned, and what lies around it is not.
int CheckPinned(const std::string& name, uint8_t* first, int64_t size) {
  for (const int64_t offset : {int64_t{0}, int64_t{1}, size / 2, size - 1}) {
    const int64_t bytes = size - offset;
    for (int64_t i = 0; i < bytes; ++i) first[offset + i] = static_cast<uint8_t>(i * 7 + 1);
    void* const address = AddressOf(first + offset, bytes);
    Expect(address != nullptr, name + " is found from byte " + std::to_string(offset));
    if (address == nullptr) continue;
    std::vector<uint8_t> read(bytes);
    Must(cudaMemcpy(read.data(), address, bytes, cudaMemcpyDeviceToHost), "read as the device");
    Expect(std::memcmp(read.data(), first + offset, bytes) == 0, name + " has the host's bytes");
    Expect(AddressOf(first + offset, bytes + kPage) == nullptr,
           name + " ends where it does, from byte " + std::to_string(offset));
  }
  return 4;
}

int TestAllocated() {
  uint8_t* memory = nullptr;
  Must(cudaMallocHost(&memory, 3 * kPage), "cudaMallocHost");
  const int cases = CheckPinned("memory allocated pinned", memory, 3 * kPage);
  Must(cudaFreeHost(memory), "cudaFreeHost");
  return cases;
}

// Pages that were there before, from an address on a page's border or not.
int TestRegistered(int64_t offset, int64_t size) {
  constexpr int64_t kAll = 64 * kPage;
  void* const pages =
      mmap(nullptr, kAll, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Expect(pages != MAP_FAILED, "mmap");
  if (pages == MAP_FAILED) return 1;
  auto* const first = static_cast<uint8_t*>(pages) + 8 * kPage + offset;
  const std::string name = std::to_string(size) + " bytes pinned later";
  Expect(AddressOf(first, size) == nullptr, name + " are pageable before");
  Must(cudaHostRegister(first, size, 0), "cudaHostRegister");
  const int cases = CheckPinned(name, first, size);
  Must(cudaHostUnregister(first), "cudaHostUnregister");
  Expect(AddressOf(first, size) == nullptr, name + " are pageable after");
  munmap(pages, kAll);
  return cases + 2;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  if (!t::HaveDevice("mapped_memory_cuda_test")) return 0;
  int cases = t::TestAllocated();
  cases += t::TestRegistered(0, t::kPage);
  cases += t::TestRegistered(0, 5 * t::kPage);
  cases += t::TestRegistered(64, 40000);
  return t::Report("mapped_memory_cuda_test", cases);
}
