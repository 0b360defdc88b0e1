// One pass of a stable radix sort of (key, slot) by eight bits: count, scan, scatter. Six passes sort the 48 bits.
//
// Stable and without an order that depends on scheduling, so equal keys stand in slot order and every run is the same.
// `sort_count` and `sort_scatter`: a block for kSortTile keys. `sort_scan`: a warp a digit.
// Bytes a node and pass: 8 read to count, 12 read and 12 written to scatter. Runs: after `curve_keys`, in this order; the
// host swaps the arrays between passes. Agrees with: `MortonSorter` of `sim/cpu/morton.rs` in being a permutation.

#include "layout.cuh"

DEVICE u32 digit_of(u64 key, u32 shift) { return (u32)(key >> shift) & (kDigits - 1); }

// Sum of `value` over the threads before this one. `shared` has kWarpsPerBlock words.
DEVICE u32 sum_before(u32 value, u32* shared) {
    u32 lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, sum = value;
    for (u32 apart = 1; apart < kWarp; apart *= 2) {
        u32 below = __shfl_up_sync(kAllLanes, sum, apart);
        if (lane >= apart) sum += below;
    }
    if (lane == kWarp - 1) shared[warp] = sum;
    __syncthreads();
    u32 before = sum - value;
    for (u32 other = 0; other < warp; other++) before += shared[other];
    __syncthreads();
    return before;
}

KERNEL(sort_count) {
    __shared__ u32 count[kDigits];
    count[threadIdx.x] = 0;
    __syncthreads();
    u32 first = blockIdx.x * kSortTile;
    for (u32 index = first + threadIdx.x; index < first + kSortTile && index < w.node_count; index += kBlock) {
        atomicAdd(&count[digit_of(w.key[index], w.shift)], 1u);
    }
    __syncthreads();
    w.digit_count[threadIdx.x * w.sort_blocks + blockIdx.x] = count[threadIdx.x];
}

KERNEL(sort_scan) {
    u32 digit = thread_index() / kWarp, lane = threadIdx.x % kWarp;
    u32* count = w.digit_count + (size_t)digit * w.sort_blocks;
    u32 carry = 0;
    for (u32 first = 0; first < w.sort_blocks; first += kWarp) {
        u32 index = first + lane;
        u32 own = index < w.sort_blocks ? count[index] : 0, sum = own;
        for (u32 apart = 1; apart < kWarp; apart *= 2) {
            u32 below = __shfl_up_sync(kAllLanes, sum, apart);
            if (lane >= apart) sum += below;
        }
        if (index < w.sort_blocks) count[index] = carry + sum - own;
        carry += __shfl_sync(kAllLanes, sum, kWarp - 1);
    }
    if (lane == 0) w.digit_total[digit] = carry;
}

KERNEL(sort_scatter) {
    constexpr u32 kRounds = kSortTile / kBlock;
    __shared__ u32 warp_count[kWarpsPerBlock][kDigits];
    __shared__ u32 shared[kWarpsPerBlock];
    __shared__ u32 digit_at[kDigits];
    __shared__ u64 key_tile[kSortTile];
    __shared__ u32 order_tile[kSortTile];
    u32 lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    for (u32 other = 0; other < kWarpsPerBlock; other++) warp_count[other][threadIdx.x] = 0;
    __syncthreads();
    // A warp takes consecutive keys, 32 at a time: within it, and warp by warp, order is kept.
    u32 first = blockIdx.x * kSortTile + warp * (kRounds * kWarp);
    u64 key[kRounds];
    u32 place[kRounds];
#pragma unroll
    for (u32 round = 0; round < kRounds; round++) {
        u32 index = first + round * kWarp + lane;
        bool valid = index < w.node_count;
        key[round] = valid ? w.key[index] : 0;
        u32 digit = digit_of(key[round], w.shift);
        u32 alike = __match_any_sync(kAllLanes, valid ? digit : kDigits);
        u32 before = __popc(alike & ((1u << lane) - 1));
        place[round] = warp_count[warp][digit] + before;
        __syncwarp();
        if (valid && before == 0) warp_count[warp][digit] += __popc(alike);
        __syncwarp();
    }
    __syncthreads();
    u32 digit = threadIdx.x, sum = 0;
    for (u32 other = 0; other < kWarpsPerBlock; other++) {
        u32 own = warp_count[other][digit];
        warp_count[other][digit] = sum;
        sum += own;
    }
    u32 in_tile = sum_before(sum, shared);
    u32 in_all = sum_before(w.digit_total[digit], shared) + w.digit_count[digit * w.sort_blocks + blockIdx.x];
    digit_at[digit] = in_all - in_tile;
    for (u32 other = 0; other < kWarpsPerBlock; other++) warp_count[other][digit] += in_tile;
    __syncthreads();
#pragma unroll
    for (u32 round = 0; round < kRounds; round++) {
        u32 index = first + round * kWarp + lane;
        if (index < w.node_count) {
            u32 to = warp_count[warp][digit_of(key[round], w.shift)] + place[round];
            key_tile[to] = key[round];
            order_tile[to] = w.order[index];
        }
    }
    __syncthreads();
    // Through the tile, so that what goes to one digit leaves side by side.
    u32 tile_first = blockIdx.x * kSortTile;
    u32 tile_count = min(w.node_count - tile_first, kSortTile);
    for (u32 index = threadIdx.x; index < tile_count; index += kBlock) {
        u64 moved = key_tile[index];
        u32 to = digit_at[digit_of(moved, w.shift)] + index;
        w.key_next[to] = moved;
        w.order_next[to] = order_tile[index];
    }
}
