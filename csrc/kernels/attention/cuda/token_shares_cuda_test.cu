// TokenShares against a loop over the sequences: shares cover every token once, each with a row of
// its own, and come in the order they are to be taken in.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/attention/cuda/token_shares.cuh"
#include "csrc/kernels/common/cuda/test_support.h"
#include "csrc/kernels/common/divide.h"

namespace stablekv::testing {
namespace {

// Share blockIdx.x, worked out by two warps, and of a sequence its full shares.
__global__ void ListShares(ShareSize size, PagedAttentionParams params, TokenShare* shares,
                           int2* full) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  LaneLengths lengths;
  lengths.Fetch(params, lane);
  const int num_seqs = static_cast<int>(params.num_seqs);
  const TokenShares all(size, lengths, num_seqs, static_cast<int>(params.max_seq_len), lane);
  const TokenShare share = all.Of(static_cast<int>(blockIdx.x));
  const int sequence = static_cast<int>(blockIdx.x) % num_seqs;
  const int2 of_sequence = all.FullOf(sequence);
  if (threadIdx.x == 63) shares[blockIdx.x] = share;
  if (threadIdx.x == 32) full[sequence] = of_sequence;
}

template <typename T>
std::vector<T> ReadAs(const DeviceBytes& bytes) {
  const std::vector<uint8_t> raw = bytes.Read();
  std::vector<T> values(raw.size() / sizeof(T));
  std::memcpy(values.data(), raw.data(), raw.size());
  return values;
}

struct Case {
  std::vector<int32_t> lengths;
  int num_shares;
  int64_t max_seq_len;
  bool fills;

  std::string Describe() const {
    std::string text = std::to_string(num_shares) + " shares" + (fills ? ", filled" : "") +
                       ", max " + std::to_string(max_seq_len) + ", " +
                       std::to_string(lengths.size()) + " sequences:";
    for (size_t s = 0; s < std::min<size_t>(lengths.size(), 8); ++s) {
      text += " " + std::to_string(lengths[s]);
    }
    return text;
  }
};

// The least size that holds all tokens in so many shares; if they are filled, one that none smaller
// by a 64th would do for.
void ExpectSize(const Case& c, const std::vector<int64_t>& lengths, int64_t grains, int64_t size) {
  const std::string what = c.Describe() + ": shares of " + std::to_string(size);
  const int64_t least =
      std::max<int64_t>(1, CeilDivide(grains * kShareGrain, c.num_shares * kShareUnit)) *
      kShareUnit;
  if (!c.fills || size == least) {
    Expect(size == least, what + ", not " + std::to_string(least));
  } else {
    Expect(size % kShareUnit == 0 && size >= kFewestFilledTokens && size < least, what);
  }
  if (!c.fills || size <= 0) return;
  const int64_t smaller = size - (size / 64 / kShareUnit + 1) * kShareUnit;
  int64_t full = 0;
  for (const int64_t length : lengths) {
    if (length > 0 && smaller > 0) full += (length - 1) / smaller;
  }
  Expect(smaller < kFewestFilledTokens || full > c.num_shares, what + " could be smaller");
}

void Run(const Case& c) {
  const int n = static_cast<int>(c.lengths.size());
  const int numbers = c.num_shares + n + 3;
  const DeviceBytes lengths(c.lengths);
  const DeviceBytes shares_bytes(numbers * sizeof(TokenShare));
  const DeviceBytes full_bytes(n * sizeof(int2));
  PagedAttentionParams params = {};
  params.seq_lens = lengths.As<int32_t>();
  params.num_seqs = n;
  params.max_seq_len = c.max_seq_len;
  ListShares<<<numbers, 64>>>(ShareSize(c.num_shares, c.fills), params,
                              shares_bytes.As<TokenShare>(), full_bytes.As<int2>());
  Must(cudaDeviceSynchronize(), "ListShares");
  const auto shares = ReadAs<TokenShare>(shares_bytes);
  const auto full = ReadAs<int2>(full_bytes);

  std::vector<int64_t> clamped;
  int64_t grains = 0;
  for (const int32_t length : c.lengths) {
    clamped.push_back(std::max<int64_t>(0, std::min<int64_t>(length, c.max_seq_len)));
    grains += CeilDivide(clamped.back(), kShareGrain);
  }
  const int64_t size = shares[0].tokens;
  ExpectSize(c, clamped, grains, size);

  // What is to be there: full shares of each sequence, its last one, and then nothing.
  std::vector<std::vector<int>> of_sequence(n);
  int all_full = 0;
  for (int s = 0; s < n; ++s) {
    of_sequence[s].assign(std::max<int64_t>(1, CeilDivide(clamped[s], size)), -1);
    all_full += static_cast<int>(of_sequence[s].size()) - 1;
    Expect(full[s].y + 1 == static_cast<int>(of_sequence[s].size()), c.Describe() + ": FullOf");
  }
  Expect(all_full <= c.num_shares, c.Describe() + ": more full shares than were asked for");
  int64_t last_left = size;
  for (int i = 0; i < numbers; ++i) {
    const TokenShare& share = shares[i];
    const std::string what = c.Describe() + ": share " + std::to_string(i);
    if (i >= all_full + n) {
      Expect(share.sequence == -1, what + " is one too many");
      continue;
    }
    if (share.sequence < 0 || share.sequence >= n || share.tokens != size ||
        share.begin % size != 0 ||
        share.begin / size >= static_cast<int64_t>(of_sequence[share.sequence].size())) {
      Expect(false, what + " is of no sequence, or of other tokens");
      continue;
    }
    int& row = of_sequence[share.sequence][share.begin / size];
    Expect(row == -1, what + " comes twice");
    row = share.row;
    const bool is_full = share.begin / size < full[share.sequence].y;
    Expect(is_full == (i < all_full), what + " is not in its place");
    if (is_full) {
      Expect(share.row == full[share.sequence].x + share.begin / size, what + " has another row");
      continue;
    }
    Expect(share.row == c.num_shares + share.sequence, what + " has not the row of a last share");
    const int64_t left = clamped[share.sequence] - share.begin;
    Expect(left <= last_left + size / 4, what + " comes after much shorter ones");
    last_left = std::min(last_left, left);
  }
  std::vector<int> rows;
  for (const std::vector<int>& of : of_sequence) rows.insert(rows.end(), of.begin(), of.end());
  std::sort(rows.begin(), rows.end());
  Expect(rows.front() >= 0, c.Describe() + ": tokens without a share");
  Expect(rows.back() < c.num_shares + n, c.Describe() + ": a row outside the scratch");
  Expect(std::adjacent_find(rows.begin(), rows.end()) == rows.end(),
         c.Describe() + ": two shares of one row");
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  Random random(3);
  for (const int n : {1, 2, 5, 31, 32, 33, 64, 97, 128}) {
    for (const int num_shares : {n < 128 ? 1 : 3, 7, 33, 132, 264, 1000}) {
      for (const int64_t longest : {int64_t{3000}, int64_t{131'072}, int64_t{kLongestShared}}) {
        Case c{std::vector<int32_t>(n), num_shares, longest, false};
        for (int32_t& length : c.lengths) {
          length = static_cast<int32_t>(random.Below(longest + 1));
          if (random.Below(8) == 0) length = static_cast<int32_t>(random.Below(3)) * kShareUnit;
        }
        cases.push_back(c);
        std::fill(c.lengths.begin(), c.lengths.end(), static_cast<int32_t>(longest));
        cases.push_back(c);
        c.lengths[n / 2] = INT32_MAX;  // clamped
        c.lengths[0] = INT32_MIN;
        cases.push_back(c);
        std::fill(c.lengths.begin(), c.lengths.end(), 0);
        cases.push_back(c);
      }
    }
  }
  for (size_t i = cases.size(); i-- > 0;) {
    cases.push_back(cases[i]);
    cases.back().fills = true;
  }
  return cases;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  return t::RunCases("token_shares_cuda_test", &t::Cases, &t::Run);
}
