// The MLA kernels on CUDA against those of the CPU: every byte of every tensor.
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "csrc/kernels/common/cuda/test_support.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/mla/mla_test_case.h"

namespace stablekv::testing {
namespace {

int cases = 0;

// The CPU refuses slots and positions that CUDA skips: it gets padding in their place.
template <typename Params>
std::vector<int64_t> WithoutBadTokens(const Params& params) {
  std::vector<int64_t> slots(params.slot_mapping, params.slot_mapping + params.num_tokens);
  for (int64_t i = 0; i < params.num_tokens; ++i) {
    bool bad = slots[i] >= params.num_blocks * params.block_size;
    if constexpr (std::is_same_v<Params, ConcatAndCacheMlaRopeFusedParams>) {
      bad |= params.positions[i] < 0 || params.positions[i] >= params.num_positions;
    }
    if (bad) slots[i] = -1;
  }
  return slots;
}

template <typename Params, typename Cpu>
Status RunOnCpu(Params params, Cpu cpu) {
  if constexpr (std::is_same_v<Params, ConcatMlaQParams>) {
    return cpu(params, &SerialFor);
  } else {
    const std::vector<int64_t> slots = WithoutBadTokens(params);
    params.slot_mapping = slots.data();
    return cpu(params, &SerialFor);
  }
}

template <typename Params, typename Cpu, typename Cuda>
void Run(Problem<Params> problem, Cpu cpu, Cuda cuda) {
  ++cases;
  Params params = problem.params;
  std::vector<std::unique_ptr<DeviceBytes>> device;
  for (const auto& tensor : problem.tensors) {
    device.push_back(std::make_unique<DeviceBytes>(tensor.bytes));
    tensor.bind(&params, device.back()->As<uint8_t>() + tensor.at);
  }
  const Status status = cuda(params, nullptr);
  Expect(status.ok(), problem.name + ": " + status.message());

  std::vector<std::vector<uint8_t>> got;
  for (const auto& bytes : device) got.push_back(bytes->Read());
  Problem<Params> expected = problem;
  const Status host_status = RunOnCpu(expected.OnHost(), cpu);
  Expect(host_status.ok(), problem.name + ": on the CPU: " + host_status.message());
  for (size_t t = 0; t < got.size(); ++t) {
    Expect(got[t] == expected.tensors[t].bytes,
           problem.name + ": tensor " + std::to_string(t) + " differs");
  }
}

template <typename Make, typename Cpu, typename Cuda>
void RunAll(const std::vector<MlaShape>& shapes, Make make, Cpu cpu, Cuda cuda) {
  for (MlaShape shape : shapes) {
    for (const bool past_the_end : {false, true}) {
      shape.past_the_end = past_the_end;
      Run(make(shape), cpu, cuda);
    }
  }
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  using namespace stablekv;
  namespace t = stablekv::testing;
  if (!t::HaveDevice("mla_cuda_test")) return 0;
  t::RunAll(t::ConcatAndCacheMlaShapes(), &t::MakeConcatAndCacheMla, &ConcatAndCacheMlaCpu,
            &ConcatAndCacheMlaCuda);
  t::RunAll(t::RopeFusedShapes(), &t::MakeRopeFused, &ConcatAndCacheMlaRopeFusedCpu,
            &ConcatAndCacheMlaRopeFusedCuda);
  t::RunAll(t::ConcatMlaQShapes(), &t::MakeConcatMlaQ, &ConcatMlaQCpu, &ConcatMlaQCuda);
  t::RunAll(t::IndexerShapes(), &t::MakeIndexer, &IndexerKQuantAndCacheCpu,
            &IndexerKQuantAndCacheCuda);
  return t::Report("mla_cuda_test", t::cases);
}
