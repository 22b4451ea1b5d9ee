// The gathers on CUDA against those on the CPU, every byte of what is written; and tables that do
// not fit, which the CPU refuses and CUDA must step over.
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "csrc/kernels/cache/gather_dequant.h"
#include "csrc/kernels/cache/gather_rows.h"
#include "csrc/kernels/cache/gather_upconvert.h"
#include "csrc/kernels/common/cuda/test_inputs.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {
namespace {

constexpr RowStartsArg kStarts{"row_starts", /*may_be_cut=*/false};

// Tables, on the host and on the device, of sequences of a few rows with rows before and after.
class Tables {
 public:
  Tables(int64_t num_seqs, int64_t block_size, bool broken, Random* random) {
    host_.num_seqs = num_seqs;
    host_.num_starts = num_seqs + 1;
    host_.block_size = block_size;
    host_.num_blocks = 23;
    host_.max_blocks_per_seq = 40 / block_size + 3;
    host_.block_table_stride = host_.max_blocks_per_seq + 2;
    starts_.push_back(static_cast<int32_t>(random->Below(4)));
    for (int64_t seq = 0; seq < num_seqs; ++seq) {
      starts_.push_back(starts_.back() + static_cast<int32_t>(random->Below(30)));
      firsts_.push_back(static_cast<int32_t>(random->Below(12)));
    }
    host_.num_rows = starts_.back() + random->Below(5);
    for (int64_t i = 0; i < num_seqs * host_.block_table_stride; ++i) {
      table_.push_back(static_cast<int32_t>(random->Below(host_.num_blocks)));
    }
    if (broken) {
      const int32_t wrong[] = {-1, 23, INT32_MAX, INT32_MIN};
      for (size_t i = 0; i < table_.size(); i += 5) table_[i] = wrong[i / 5 % 4];
      for (size_t i = 0; i < firsts_.size(); i += 3) firsts_[i] = INT32_MAX - 7;
      for (size_t i = 1; i < firsts_.size(); i += 3) firsts_[i] = -4;
      host_.num_rows = starts_.back() / 2;
    }
    host_.row_starts = starts_.data();
    host_.seq_starts = firsts_.data();
    host_.block_table = table_.data();
    device_starts_ = std::make_unique<DeviceBytes>(starts_);
    device_firsts_ = std::make_unique<DeviceBytes>(firsts_);
    device_table_ = std::make_unique<DeviceBytes>(table_);
  }

  const PagedRows& host() const { return host_; }
  PagedRows device() const {
    PagedRows rows = host_;
    rows.row_starts = device_starts_->As<int32_t>();
    rows.seq_starts = device_firsts_->As<int32_t>();
    rows.block_table = device_table_->As<int32_t>();
    return rows;
  }

 private:
  std::vector<int32_t> starts_;
  std::vector<int32_t> firsts_;
  std::vector<int32_t> table_;
  PagedRows host_ = {};
  std::unique_ptr<DeviceBytes> device_starts_;
  std::unique_ptr<DeviceBytes> device_firsts_;
  std::unique_ptr<DeviceBytes> device_table_;
};

// Rows that CUDA may write, one by one through the CPU, which would refuse the rest.
template <typename Gather>
void ForEachGoodRow(const PagedRows& rows, const Gather& gather) {
  for (int64_t row = 0; row < rows.num_rows; ++row) {
    const RowSource source = SourceOfRow(rows, row);
    if (source.fault != RowFault::kNone) continue;
    const int32_t start = 0;
    const auto block = static_cast<int32_t>(source.block);
    PagedRows one = rows;
    const auto first = static_cast<int32_t>(source.offset);
    one.row_starts = &start;
    one.seq_starts = &first;
    one.block_table = &block;
    one.num_rows = one.num_seqs = one.num_starts = one.max_blocks_per_seq = 1;
    const Status status = gather(one, row);
    Expect(status.ok(), "on the CPU: " + status.message());
  }
}

void TestRows(int64_t bytes, int64_t padding, int64_t row_padding, int64_t shift, bool two_pieces,
              bool broken) {
  const std::string name = "rows of " + std::to_string(bytes) + " padding " +
                           std::to_string(padding) + "/" + std::to_string(row_padding) + " shift " +
                           std::to_string(shift) + (two_pieces ? " two" : "") +
                           (broken ? " broken" : "");
  Random random(bytes * 31 + padding * 7 + shift);
  const Tables tables(9, 8, broken, &random);
  const PagedRows& rows = tables.host();
  GatherRowsParams params = {};
  params.num_pieces = two_pieces ? 2 : 1;
  GatherPiece& piece = params.pieces[0];
  piece.bytes = bytes;
  piece.token_stride = two_pieces ? bytes : bytes + padding;
  piece.row_stride = bytes + row_padding;
  piece.block_stride = (piece.token_stride + 4) * rows.block_size + padding;
  const std::vector<uint8_t> cache = RandomBytes(rows.num_blocks * piece.block_stride, &random);
  std::vector<uint8_t> to(rows.num_rows * piece.row_stride, 0xff);
  std::vector<uint8_t> scales(rows.num_rows * 4, 0xff);
  if (two_pieces) params.pieces[1] = {nullptr, nullptr, piece.block_stride, 4, 4, 4};

  const DeviceBytes device_cache(cache, shift);
  const DeviceBytes device_to(to, shift);
  const DeviceBytes device_scales(scales);
  const auto place = [&](const uint8_t* from, uint8_t* target, uint8_t* scale) {
    params.pieces[0].from = from;
    params.pieces[0].to = target;
    params.pieces[1].from = from + rows.block_size * bytes;
    params.pieces[1].to = scale;
  };
  params.rows = tables.device();
  place(device_cache.As<uint8_t>(), device_to.As<uint8_t>(), device_scales.As<uint8_t>());
  const Status status = GatherRowsCuda(params, nullptr);
  Expect(status.ok(), name + ": " + status.message());
  ForEachGoodRow(rows, [&](const PagedRows& one, int64_t row) {
    params.rows = one;
    place(cache.data(), to.data() + row * params.pieces[0].row_stride, scales.data() + row * 4);
    return GatherRowsCpu(params, kStarts, &SerialFor);
  });
  Expect(device_to.Read() == to, name + ": rows differ");
  Expect(device_scales.Read() == scales, name + ": scales differ");
}

void TestDequant(ElementType element, CacheType cache_type, int64_t entry_size, int64_t row_padding,
                 int64_t shift, float scale, bool broken) {
  const std::string name = std::string("dequant ") + Name(element) + "/" + Name(cache_type) + " " +
                           std::to_string(entry_size) + "/" + std::to_string(row_padding) +
                           " shift " + std::to_string(shift) + " scale " + std::to_string(scale) +
                           (broken ? " broken" : "");
  Random random(entry_size * 31 + shift);
  const Tables tables(7, 4, broken, &random);
  const PagedRows& rows = tables.host();
  const int64_t element_bytes = SizeOf(element);
  const int64_t cache_bytes = SizeOf(cache_type, element);
  GatherDequantParams params = {};
  params.entry_size = entry_size;
  params.token_stride = entry_size + 16;
  params.block_stride = params.token_stride * rows.block_size + 32;
  params.row_stride = entry_size + row_padding;
  params.element = element;
  params.cache = cache_type;
  const std::vector<uint8_t> cache =
      RandomBytes(rows.num_blocks * params.block_stride * cache_bytes, &random);
  std::vector<uint8_t> to(rows.num_rows * params.row_stride * element_bytes, 0xff);
  const std::vector<int32_t> token_to_seq(rows.num_rows + 1, 0);
  const std::vector<float> scales = {scale};

  const DeviceBytes device_cache(cache, shift * cache_bytes);
  const DeviceBytes device_to(to, shift * element_bytes);
  const DeviceBytes device_scale(scales);
  params.rows = tables.device();
  params.from = device_cache.data();
  params.to = device_to.data();
  params.scale = device_scale.As<float>();
  const Status status = GatherDequantCuda(params, nullptr);
  Expect(status.ok(), name + ": " + status.message());
  params.from = cache.data();
  params.scale = scales.data();
  params.token_to_seq = token_to_seq.data();
  ForEachGoodRow(rows, [&](const PagedRows& one, int64_t row) {
    params.rows = one;
    params.to = to.data() + row * params.row_stride * element_bytes;
    return GatherDequantCpu(params, kStarts, &SerialFor);
  });
  Expect(device_to.Read() == to, name + ": rows differ");
}

void TestUpconvert(int64_t padding, int64_t row_padding, int64_t shift, bool broken) {
  const std::string name = "upconvert padding " + std::to_string(padding) + "/" +
                           std::to_string(row_padding) + " shift " + std::to_string(shift) +
                           (broken ? " broken" : "");
  Random random(padding * 7 + shift);
  const Tables tables(7, 16, broken, &random);
  const PagedRows& rows = tables.host();
  GatherUpconvertParams params = {};
  params.token_stride = 656 + padding;
  params.block_stride = params.token_stride * rows.block_size + padding;
  params.row_stride = 576 + row_padding;
  std::vector<uint8_t> cache = RandomBytes(rows.num_blocks * params.block_stride, &random);
  for (int64_t block = 0; block < rows.num_blocks; ++block) {  // half of the scales are ordinary
    for (int64_t token = 0; token < rows.block_size; ++token) {
      const float ordinary[2] = {random.Normal(), 0.0371f};
      std::memcpy(cache.data() + block * params.block_stride + token * params.token_stride + 512,
                  ordinary, sizeof(ordinary));
    }
  }
  std::vector<uint8_t> to(rows.num_rows * params.row_stride * 2, 0xff);
  const DeviceBytes device_cache(cache, shift);
  const DeviceBytes device_to(to, 2 * shift);
  params.rows = tables.device();
  params.from = device_cache.data();
  params.to = device_to.data();
  const Status status = GatherUpconvertCuda(params, nullptr);
  Expect(status.ok(), name + ": " + status.message());
  params.from = cache.data();
  ForEachGoodRow(rows, [&](const PagedRows& one, int64_t row) {
    params.rows = one;
    params.to = to.data() + row * params.row_stride * 2;
    return GatherUpconvertCpu(params, kStarts, &SerialFor);
  });
  Expect(device_to.Read() == to, name + ": rows differ");
}

int TestAll(bool broken) {
  int cases = 0;
  for (const int64_t bytes : {1, 2, 6, 12, 64, 128, 1152, 2304, 5000}) {
    for (const int64_t padding : {0, 1, 2, 4, 8, 16}) {
      for (const int64_t row_padding : {0, 1, 2, 4, 8, 16}) {
        TestRows(bytes, padding, row_padding, 0, false, broken);
        TestRows(bytes, padding, row_padding, 0, true, broken);
        cases += 2;
      }
      for (const int64_t shift : {1, 2, 4, 8}) {
        TestRows(bytes, padding, padding, shift, false, broken);
        ++cases;
      }
    }
  }
  for (const ElementType element : kElements) {
    for (const CacheType cache : kCaches) {
      for (const int64_t entry_size : {1, 7, 8, 64, 320, 576}) {
        for (const int64_t odd : {0, 1, 2, 4}) {
          for (const float scale : {1.0f, 0.0371f, 0.0f, -3e38f, INFINITY, NAN}) {
            TestDequant(element, cache, entry_size, 8, odd, scale, broken);
            TestDequant(element, cache, entry_size, 8 + odd, 0, scale, broken);
            cases += 2;
          }
        }
      }
    }
  }
  for (const int64_t padding : {0, 1, 4, 8, 16}) {
    for (const int64_t row_padding : {0, 1, 4, 8}) {
      for (const int64_t shift : {0, 1, 2, 4, 8}) {
        TestUpconvert(padding, row_padding, shift, broken);
        ++cases;
      }
    }
  }
  return cases;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  if (!t::HaveDevice("gather_cuda_test")) return 0;
  return t::Report("gather_cuda_test", t::TestAll(/*broken=*/false) + t::TestAll(/*broken=*/true));
}
