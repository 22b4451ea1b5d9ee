// Brings a warp's tiles from the cache into its ring in shared memory, ahead of their use.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_TILE_LOADER_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_TILE_LOADER_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/async_copy.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_item.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_shape.cuh"
#include "csrc/kernels/attention/cuda/mma/shared_memory.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"

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
        // Kept: the compiler would work the address out anew for each tile.
        slots_(KeepInRegister(SharedAddress(shared.slots[warp]))),
        block_shift_(args.block_shift),
        log_blocks_(Shape::kLogStepTokens - args.block_shift),
        lane_(lane),
        policy_(CachePolicy(/*read_once=*/args.num_tiles == 1)) {}

  // Once, before anything else; may run before the inputs of the kernel are there.
  static __device__ void InitRing(int warp, int lane, typename Shape::Shared& shared) {
    if (kBulkCopies && lane < Shape::kTiles) {
      InitBarrier(SharedAddress(&shared.slots[warp][lane].arrived));
    }
    FenceBulkCopies();
    __syncwarp();
  }

  // Fetches the first entries of the block table of `sequence`; `steps` need not have its count
  // yet.
  __device__ __forceinline__ void Prefetch(const WarpSteps& steps, int64_t sequence) {
    table_ = params_.block_tables + sequence * params_.block_tables_stride;
    steps_ = steps;
    first_entry_ = EntryOf(0);
    next_entry_ = EntryOf(1);
    window_ = ReadEntry(first_entry_);
    next_window_ = ReadEntry(next_entry_);
  }

  // Fetches the same entries again, without waiting for them, for HasChanged().
  __device__ __forceinline__ void FetchAgain() {
    true_window_ = ReadEntry(first_entry_);
    true_next_window_ = ReadEntry(next_entry_);
  }
  // Of the lane's entries.
  __device__ __forceinline__ bool HasChanged() const {
    return true_window_ != window_ || true_next_window_ != next_window_;
  }

  // Sends for the first tile. Tokens from `end` on are not attended to.
  __device__ __forceinline__ void Start(const WarpSteps& steps, int end) {
    steps_ = steps;
    end_ = end;
    send_step_ = 0;
    send_values_ = false;
    LookAtWindow(0, end);
    SendForNext();
  }
  // Sends for as many more as there is room for.
  __device__ __forceinline__ void FillRing() {
#pragma unroll 1
    for (int i = 1; i < ring_tiles_; ++i) SendForNext();
  }

  // Waits for all that was sent for, and forgets it.
  __device__ __forceinline__ void Drain() {
    const int sent = min(ring_tiles_, 2 * steps_.count);
#pragma unroll 1
    for (int i = 0; i < sent; ++i) {
      Wait();
      UseNext();
    }
  }

  // The address of the next tile, once it is there.
  __device__ __forceinline__ uint32_t Wait() {
    if constexpr (kBulkCopies) {
      WaitForBytes(ArrivedOf(use_slot_), use_phase_);
    } else {
      WaitForChunks<Shape::kTiles - 1>();
      __syncwarp();
    }
    return tiles_ + use_slot_ * Shape::kTileBytes;
  }

  // Of the tile of keys that Wait() gave last: bit i says whether token i of it is attended to.
  // The others hold what was in the cache, or in shared memory.
  __device__ __forceinline__ uint64_t Attended() const { return LoadShared(AttendedOf(use_slot_)); }

  // The tile is used up: its place goes to a later one.
  __device__ __forceinline__ void Release() {
    __syncwarp();
    SendForNext();
    UseNext();
  }

 private:
  using Slot = typename Shape::Slot;

  __device__ __forceinline__ uint32_t ArrivedOf(int slot) const {
    return slots_ + slot * static_cast<int>(sizeof(Slot));
  }
  __device__ __forceinline__ uint32_t AttendedOf(int slot) const {
    return ArrivedOf(slot) + static_cast<uint32_t>(sizeof(uint64_t));
  }

  // Entries of the block table are fetched 32 at a time, one a lane, a window ahead of their use:
  // those of the blocks of as many steps as make 32.
  __device__ __forceinline__ int StepOfLane(int window) const {
    return steps_.first + ((32 * window + lane_) >> log_blocks_) * steps_.stride;
  }
  __device__ __forceinline__ int BlockOfStep() const { return lane_ & ((1 << log_blocks_) - 1); }

  // Null past the end of the table.
  __device__ __forceinline__ const int32_t* EntryOf(int window) const {
    const int64_t index = (static_cast<int64_t>(StepOfLane(window)) << log_blocks_) + BlockOfStep();
    return index < params_.max_blocks_per_seq ? table_ + index : nullptr;
  }
  static __device__ __forceinline__ int ReadEntry(const int32_t* entry) {
    return entry != nullptr ? LoadUncached(entry) : -1;
  }

  // Which blocks of the window are there: not one that holds no token before `end`, or whose entry
  // names no block of the cache.
  __device__ __forceinline__ void LookAtWindow(int window, int end) {
    const int64_t token = (static_cast<int64_t>(StepOfLane(window)) << Shape::kLogStepTokens) +
                          (BlockOfStep() << block_shift_);
    presence_ =
        __ballot_sync(kFullWarp, token < end && window_ >= 0 && window_ < params_.num_blocks);
  }

  __device__ __forceinline__ const Bits* KeysOf(int block) const {
    return keys_ + block * params_.key_cache_block_stride;
  }
  __device__ __forceinline__ const Bits* ValuesOf(int block) const {
    return values_ + block * params_.value_cache_block_stride;
  }

  __device__ __forceinline__ void UseNext() {
    if (++use_slot_ == ring_tiles_) {
      use_slot_ = 0;
      use_phase_ ^= 1;
    }
  }

  __device__ __forceinline__ void SendForNext() {
    if (send_step_ < steps_.count) {
      const int entry = send_step_ << log_blocks_;  // the step's first one of all windows
      if (!send_values_ && entry % 32 == 0 && entry != 0) {
        window_ = next_window_;
        next_window_ = ReadEntry(EntryOf(entry / 32 + 1));
        LookAtWindow(entry / 32, end_);
      }
      const uint32_t all = (1u << (1 << log_blocks_)) - 1;
      const uint32_t presence = presence_ >> entry % 32 & all;
      if (!send_values_) SetAttended(presence, all);
      Send(entry % 32, presence);
      send_step_ += send_values_ ? 1 : 0;
      send_values_ = !send_values_;
      if (++send_slot_ == ring_tiles_) send_slot_ = 0;
    }
    if (!kBulkCopies) EndChunks();
  }

  // Sends for the blocks of a tile, whose entries lanes have from `first_lane` on.
  __device__ __forceinline__ void Send(int first_lane, uint32_t presence) {
    const uint32_t block_bytes = (Shape::kHeadSize * Shape::kElementBytes) << block_shift_;
    const uint32_t target = tiles_ + send_slot_ * Shape::kTileBytes;
    const Bits* const source = send_values_ ? ValuesOf(window_) : KeysOf(window_);
    if constexpr (kBulkCopies) {
      const uint32_t barrier = ArrivedOf(send_slot_);
      if (lane_ == 0) ExpectBytes(barrier, __popc(presence) * block_bytes);
      __syncwarp();
      if ((presence << first_lane >> lane_ & 1) != 0) {
        BulkCopy(target + (lane_ - first_lane) * block_bytes, source, block_bytes, barrier,
                 policy_);
      }
    } else {
      for (int i = 0; i < 1 << log_blocks_; ++i) {
        const auto address =
            __shfl_sync(kFullWarp, reinterpret_cast<unsigned long long>(source), first_lane + i);
        if ((presence >> i & 1) == 0) continue;
        for (uint32_t offset = lane_ * 16; offset < block_bytes; offset += 32 * 16) {
          CopyChunk(target + i * block_bytes + offset,
                    reinterpret_cast<const uint8_t*>(address) + offset);
        }
      }
    }
  }

  // Says which tokens of the step's tile of keys are attended to, given which of `all` its blocks
  // are there.
  __device__ __forceinline__ void SetAttended(uint32_t presence, uint32_t all) {
    const int left = end_ - ((steps_.first + send_step_ * steps_.stride) << Shape::kLogStepTokens);
    uint64_t bits = Shape::kAllAttended;
    if (presence != all || left < Shape::kStepTokens) {
      const auto is_attended = [&](int token) {
        return (presence >> (token >> block_shift_) & 1) != 0 && token < left;
      };
      bits = __ballot_sync(kFullWarp, is_attended(lane_));
      if (Shape::kStepTokens == 64) {
        bits |= static_cast<uint64_t>(__ballot_sync(kFullWarp, is_attended(lane_ + 32))) << 32;
      }
    }
    if (lane_ == 0) StoreShared(AttendedOf(send_slot_), bits);
  }

  const PagedAttentionParams& params_;
  const int32_t* table_ = nullptr;
  const Bits* keys_;
  const Bits* values_;
  int ring_tiles_;
  uint32_t tiles_;
  uint32_t slots_;
  int block_shift_;
  int log_blocks_;  // of a step
  int lane_;
  uint64_t policy_;
  WarpSteps steps_ = {};
  int end_ = 0;
  int window_ = -1;
  uint32_t presence_ = 0;  // bit i: whether the block of lane i's entry of window_ is there
  int next_window_ = -1;
  const int32_t* first_entry_ = nullptr;
  const int32_t* next_entry_ = nullptr;
  int true_window_ = -1;
  int true_next_window_ = -1;
  int send_step_ = 0;  // of steps_.count
  bool send_values_ = false;
  int send_slot_ = 0;
  int use_slot_ = 0;
  uint32_t use_phase_ = 0;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_TILE_LOADER_CUH_
