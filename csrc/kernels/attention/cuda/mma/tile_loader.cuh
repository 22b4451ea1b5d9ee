// Brings a warp's tiles from the cache into its ring in shared memory, ahead of their use.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_TILE_LOADER_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_TILE_LOADER_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/async_copy.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_item.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_shape.cuh"

namespace stablekv {

// Tiles come in the order keys, values of the first step, keys, values of the second, ... Wait()
// for one, use it, Release() it. Called by all lanes of a warp together.
template <typename Shape>
class TileLoader {
 public:
  using Bits = typename Shape::Bits;

  __device__ TileLoader(const MmaDecodeArgs& args, const MmaItem& item, int warp, int lane,
                        typename Shape::Shared& shared)
      : params_(args.params),
        keys_(static_cast<const Bits*>(args.params.key_cache) +
              item.kv_head * args.params.key_cache_head_stride),
        values_(static_cast<const Bits*>(args.params.value_cache) +
                item.kv_head * args.params.value_cache_head_stride),
        ring_tiles_(Shape::RingTiles(args.plan)),
        tiles_(SharedAddress(shared.tiles) + warp * ring_tiles_ * Shape::kTileBytes),
        arrived_(shared.arrived[warp]),
        attended_(shared.attended[warp]),
        block_shift_(args.block_shift),
        log_blocks_(Shape::kLogStepTokens - args.block_shift),
        lane_(lane),
        policy_(CachePolicy(/*read_once=*/args.num_tiles == 1)) {}

  // Once, before anything else; may run before the inputs of the kernel are there.
  static __device__ void InitRing(int warp, int lane, typename Shape::Shared& shared) {
    if (kBulkCopies && lane < Shape::kTiles) InitBarrier(&shared.arrived[warp][lane]);
    FenceBulkCopies();
    __syncwarp();
  }

  // Fetches the first entries of the block table of `sequence`; `steps` need not have its count
  // yet.
  __device__ __forceinline__ void Prefetch(const WarpSteps& steps, int64_t sequence) {
    table_ = params_.block_tables + sequence * params_.block_tables_stride;
    steps_ = steps;
    window_ = WindowEntry(0);
    next_window_ = WindowEntry(1);
  }

  // Sends for the first tiles. Tokens from `end` on are not attended to.
  __device__ __forceinline__ void Start(const WarpSteps& steps, int64_t end) {
    steps_ = steps;
    end_ = end;
#pragma unroll 1
    for (int i = 0; i < ring_tiles_; ++i) SendForNext();
  }

  // The address of the next tile, once it is there.
  __device__ __forceinline__ uint32_t Wait() {
    if constexpr (kBulkCopies) {
      WaitForBytes(&arrived_[use_slot_], use_phase_);
    } else {
      WaitForChunks<Shape::kTiles - 1>();
      __syncwarp();
    }
    return tiles_ + use_slot_ * Shape::kTileBytes;
  }

  // Of the tile of keys that Wait() gave last: bit i says whether token i of it is attended to.
  // The others hold what was in the cache, or in shared memory.
  __device__ __forceinline__ uint64_t Attended() const { return attended_[use_slot_]; }

  // The tile is used up: its place goes to a later one.
  __device__ __forceinline__ void Release() {
    __syncwarp();
    SendForNext();
    if (++use_slot_ == ring_tiles_) {
      use_slot_ = 0;
      use_phase_ ^= 1;
    }
  }

 private:
  // Entries of the block table are fetched 32 at a time, one a lane, a window ahead of their use:
  // those of the blocks of as many steps as make 32.
  __device__ __forceinline__ int WindowEntry(int window) const {
    const int i = 32 * window + lane_;
    const int step = steps_.first + (i >> log_blocks_) * steps_.stride;
    const int64_t index =
        (static_cast<int64_t>(step) << log_blocks_) + (i & ((1 << log_blocks_) - 1));
    return index < params_.max_blocks_per_seq ? table_[index] : -1;
  }

  __device__ __forceinline__ void SendForNext() {
    if (send_step_ < steps_.count) {
      const int first = send_step_ << log_blocks_;
      if (!send_values_ && first % 32 == 0 && first != 0) {
        window_ = next_window_;
        next_window_ = WindowEntry(first / 32 + 1);
      }
      const int of_step = lane_ & ((1 << log_blocks_) - 1);
      const int block = __shfl_sync(kFullWarp, window_, first % 32 + of_step);
      const int64_t token = static_cast<int64_t>(steps_.first + send_step_ * steps_.stride)
                            << Shape::kLogStepTokens;
      // A block that holds no token, or whose entry names no block of the cache, is not there.
      const bool present = lane_ == of_step && token + (lane_ << block_shift_) < end_ &&
                           block >= 0 && block < params_.num_blocks;
      const uint32_t presence = __ballot_sync(kFullWarp, present);
      if (!send_values_) SetAttended(presence, end_ - token);
      const Bits* source = send_values_ ? values_ + block * params_.value_cache_block_stride
                                        : keys_ + block * params_.key_cache_block_stride;
      Send(source, present, presence);
      send_step_ += send_values_ ? 1 : 0;
      send_values_ = !send_values_;
      if (++send_slot_ == ring_tiles_) send_slot_ = 0;
    }
    if (!kBulkCopies) EndChunks();
  }

  // Lane i has the address of block i of the tile, if it is present.
  __device__ __forceinline__ void Send(const Bits* source, bool present, uint32_t presence) {
    const uint32_t block_bytes = (Shape::kHeadSize * Shape::kElementBytes) << block_shift_;
    const uint32_t target = tiles_ + send_slot_ * Shape::kTileBytes;
    if constexpr (kBulkCopies) {
      uint64_t* const barrier = &arrived_[send_slot_];
      if (lane_ == 0) ExpectBytes(barrier, __popc(presence) * block_bytes);
      __syncwarp();
      if (present) BulkCopy(target + lane_ * block_bytes, source, block_bytes, barrier, policy_);
    } else {
      for (int i = 0; i < 1 << log_blocks_; ++i) {
        const auto address =
            __shfl_sync(kFullWarp, reinterpret_cast<unsigned long long>(source), i);
        if ((presence >> i & 1) == 0) continue;
        for (uint32_t offset = lane_ * 16; offset < block_bytes; offset += 32 * 16) {
          CopyChunk(target + i * block_bytes + offset,
                    reinterpret_cast<const uint8_t*>(address) + offset);
        }
      }
    }
  }

  // Says which tokens of a tile of keys are attended to, given which of its blocks are there and
  // how many tokens are left.
  __device__ __forceinline__ void SetAttended(uint32_t presence, int64_t left) {
    uint64_t bits = Shape::kAllAttended;
    if (presence != (1u << (1 << log_blocks_)) - 1 || left < Shape::kStepTokens) {
      const auto is_attended = [&](int token) {
        return (presence >> (token >> block_shift_) & 1) != 0 && token < left;
      };
      bits = __ballot_sync(kFullWarp, is_attended(lane_));
      if (Shape::kStepTokens == 64) {
        bits |= static_cast<uint64_t>(__ballot_sync(kFullWarp, is_attended(lane_ + 32))) << 32;
      }
    }
    if (lane_ == 0) attended_[send_slot_] = bits;
  }

  const PagedAttentionParams& params_;
  const int32_t* table_ = nullptr;
  const Bits* keys_;
  const Bits* values_;
  int ring_tiles_;
  uint32_t tiles_;
  uint64_t* arrived_;
  uint64_t* attended_;
  int block_shift_;
  int log_blocks_;  // of a step
  int lane_;
  uint64_t policy_;
  WarpSteps steps_ = {};
  int64_t end_ = 0;
  int window_ = -1;
  int next_window_ = -1;
  int send_step_ = 0;  // of steps_.count
  bool send_values_ = false;
  int send_slot_ = 0;
  int use_slot_ = 0;
  uint32_t use_phase_ = 0;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_TILE_LOADER_CUH_
