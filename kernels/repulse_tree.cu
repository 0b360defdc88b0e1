// Repulsion by the tree: a cell that is small for its distance acts as one, all others are opened.
//
// One warp a group of 32 consecutive targets, kWalkWarps groups a block, no block-wide synchronisation. The warp takes four
// cells from its stack at a time, and each lane looks at one of their 32 children: far from every target of the group, it
// joins the list of cells; near and a leaf, the list of leaves; else it is opened in turn. Whenever a list fills 32 sources,
// they pass through shared memory and every lane adds them to its own target. The distance is taken to the targets
// themselves and not to a box around them: a group with one node flung away does not open half the tree.
//
// The stack never overflows: what is pushed is one level deeper than what was popped and on top of it, so a level never
// holds more than the 32 of one turn; kLevels * 32 entries are enough.
//
// Bytes a node: 20 read, 16 written, and what is not in the L2 of the cells (40 B each) that the group looks at.
// Runs: after `tree_top`. Agrees with: `Tree::list` and `pull` of the CPU backend, to the error that theta allows.

#include "pull.cuh"

constexpr u32 kStack = kLevels * kWarp;
constexpr u32 kLevelShift = 28;
constexpr u32 kIndexMask = (1u << kLevelShift) - 1;

// One warp's shared memory.
struct Walk {
    float4 target[kWarp];
    float4 cell[2 * kWarp];
    float4 tile[kWarp];
    float spread[2 * kWarp];
    u32 leaf[2 * kWarp];
    u32 stack[kStack];
};

template <bool kInverse, bool kCutoff>
DEVICE void pull_cells(Pull& pull, const float4& at, const Walk& walk, u32 first, const Params& law) {
#pragma unroll 4
    for (u32 index = 0; index < kWarp; index++) {
        add<kInverse, kCutoff, true>(pull, at, walk.cell[first + index], walk.spread[first + index], law);
    }
}

// Adds the points of up to four leaves.
template <bool kInverse, bool kCutoff>
DEVICE void pull_leaves(
    Pull& pull, const float4& at, Walk& walk, u32 first, u32 count, const Params& law, const World& w
) {
    u32 lane = threadIdx.x % kWarp;
    u32 rank = lane / kFan < count ? walk.leaf[first + lane / kFan] * kFan + lane % kFan : w.node_count;
    walk.tile[lane] = rank < w.node_count ? w.sorted[rank] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    __syncwarp();
#pragma unroll 4
    for (u32 index = 0; index < kWarp; index++) {
        add<kInverse, kCutoff, false>(pull, at, walk.tile[index], 0.0f, law);
    }
    __syncwarp();
}

template <bool kInverse, bool kCutoff>
DEVICE void repulse_tree_in(const World& w) {
    __shared__ Walk walks[kWalkWarps];
    const Params law = *w.params;
    u32 lane = threadIdx.x % kWarp;
    Walk& walk = walks[threadIdx.x / kWarp];
    u32 group = (blockIdx.x * kWalkWarps + threadIdx.x / kWarp) * kWarp;
    if (group >= w.node_count) return;
    u32 rank = group + lane;
    // Lanes beyond the end stand in for the last node: they change no distance and store nothing.
    float4 at = w.sorted[min(rank, w.node_count - 1)];
    walk.target[lane] = at;
    if (lane == 0) walk.stack[0] = (w.level_count - 1) << kLevelShift;
    __syncwarp();
    Pull pull = {0.0f, 0.0f, 0.0f, 0.0f};
    u32 depth = 1, cells = 0, leaves = 0;
    const u32 below = (1u << lane) - 1;
    while (depth > 0) {
        u32 taken = min(depth, kWarp / kFan);
        u32 parent = lane / kFan < taken ? walk.stack[depth - taken + lane / kFan] : 0;
        depth -= taken;
        __syncwarp();
        u32 level = (parent >> kLevelShift) - 1;
        u32 index = (parent & kIndexMask) * kFan + lane % kFan;
        bool there = lane / kFan < taken && index < w.level_cells[level];
        bool far = false, near = false;
        float4 centre = make_float4(0.0f, 0.0f, 0.0f, 0.0f), reach = centre;
        if (there) {
            u32 cell = w.level_first[level] + index;
            centre = w.cell_at[cell];
            reach = w.cell_reach[cell];
        }
        float nearest2 = 3.402823466e38f, farthest2 = 0.0f;
#pragma unroll 4
        for (u32 other = 0; other < kWarp; other++) {
            float4 target = walk.target[other];
            float x = target.x - centre.x, y = target.y - centre.y, z = target.z - centre.z;
            float d2 = x * x + y * y + z * z;
            nearest2 = fminf(nearest2, d2);
            if (kCutoff) farthest2 = fmaxf(farthest2, d2);
        }
        if (there) {
            u64 first = (u64)index << (kFanBits * (level + 1));
            u64 end = (u64)(index + 1) << (kFanBits * (level + 1));
            bool holds_group = first < group + kWarp && group < end;
            far = !holds_group && nearest2 >= reach.x * law.inverse_theta2;
            near = !far;
            if (kCutoff && !holds_group) {
                if (sqrtf(nearest2) - reach.z > law.cutoff) {
                    far = near = false;
                } else if (far && sqrtf(farthest2) + reach.z > law.cutoff) {
                    // Where the cutoff runs through a cell, its points are taken one by one.
                    far = false;
                    near = true;
                }
            }
        }
        bool opened = near && level > 0;
        u32 far_lanes = __ballot_sync(kAllLanes, far);
        u32 leaf_lanes = __ballot_sync(kAllLanes, near && level == 0);
        u32 open_lanes = __ballot_sync(kAllLanes, opened);
        if (far) {
            u32 to = cells + __popc(far_lanes & below);
            walk.cell[to] = centre;
            walk.spread[to] = reach.y;
        } else if (opened) {
            walk.stack[depth + __popc(open_lanes & below)] = level << kLevelShift | index;
        } else if (near) {
            walk.leaf[leaves + __popc(leaf_lanes & below)] = index;
        }
        __syncwarp();
        cells += __popc(far_lanes);
        leaves += __popc(leaf_lanes);
        depth += __popc(open_lanes);
        if (cells >= kWarp) {
            cells -= kWarp;
            pull_cells<kInverse, kCutoff>(pull, at, walk, cells, law);
            __syncwarp();
        }
        while (leaves >= kWarp / kFan) {
            leaves -= kWarp / kFan;
            pull_leaves<kInverse, kCutoff>(pull, at, walk, leaves, kWarp / kFan, law, w);
        }
    }
    if (lane >= cells) {
        walk.cell[lane] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        walk.spread[lane] = 0.0f;
    }
    __syncwarp();
    pull_cells<kInverse, kCutoff>(pull, at, walk, 0, law);
    pull_leaves<kInverse, kCutoff>(pull, at, walk, 0, leaves, law, w);
    if (rank < w.node_count) w.force[w.order[rank]] = force_of(pull, at.w, law);
}

KERNEL(repulse_tree) { repulse_tree_in<false, false>(w); }
KERNEL(repulse_tree_cutoff) { repulse_tree_in<false, true>(w); }
KERNEL(repulse_tree_inverse) { repulse_tree_in<true, false>(w); }
KERNEL(repulse_tree_inverse_cutoff) { repulse_tree_in<true, true>(w); }
