// Repulsion of every node on every other, all pairs: up to 32,768 nodes, and at any size when theta is 0.
//
// `repulse_exact*`: a block of kBlock targets and one share of the sources (grid y), which pass through shared memory in
// tiles of kBlock. `repulse_sum`: one thread a node, adds the shares in order. `repulse_none` stands in for all of it.
// Bytes a node: 16 * blocks read through the L2, 16 * shares written and read. Arithmetic bound: 13 operations a pair.
// Runs: after the gate. Agrees with: `Repulsion::evaluate` of the CPU backend at theta 0.

#include "pull.cuh"

template <bool kInverse, bool kCutoff>
DEVICE void repulse_exact_in(const World& w) {
    __shared__ float4 tile[kBlock];
    const Params law = *w.params;
    u32 target = thread_index();
    float4 at = target < w.node_count ? w.point[target] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    u32 tiles = (w.node_count + kBlock - 1) / kBlock;
    u32 from = (u32)((u64)tiles * blockIdx.y / gridDim.y), to = (u32)((u64)tiles * (blockIdx.y + 1) / gridDim.y);
    Pull pull = {0.0f, 0.0f, 0.0f, 0.0f};
    for (u32 turn = from; turn < to; turn++) {
        u32 source = turn * kBlock + threadIdx.x;
        __syncthreads();
        // Mass 0 beyond the end.
        tile[threadIdx.x] = source < w.node_count ? w.point[source] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        __syncthreads();
#pragma unroll 8
        for (u32 index = 0; index < kBlock; index++) {
            add<kInverse, kCutoff, false>(pull, at, tile[index], 0.0f, law);
        }
    }
    if (target >= w.node_count) return;
    w.partial[(size_t)blockIdx.y * w.node_count + target] = make_float4(pull.x, pull.y, pull.z, pull.stiffness);
}

KERNEL(repulse_exact) { repulse_exact_in<false, false>(w); }
KERNEL(repulse_exact_cutoff) { repulse_exact_in<false, true>(w); }
KERNEL(repulse_exact_inverse) { repulse_exact_in<true, false>(w); }
KERNEL(repulse_exact_inverse_cutoff) { repulse_exact_in<true, true>(w); }

KERNEL(repulse_sum) {
    u32 slot = thread_index();
    if (slot >= w.node_count) return;
    Pull pull = {0.0f, 0.0f, 0.0f, 0.0f};
    for (u32 split = 0; split < w.split_count; split++) {
        float4 share = w.partial[(size_t)split * w.node_count + slot];
        pull.x += share.x;
        pull.y += share.y;
        pull.z += share.z;
        pull.stiffness += share.w;
    }
    w.force[slot] = force_of(pull, w.point[slot].w, *w.params);
}

KERNEL(repulse_none) {
    u32 slot = thread_index();
    if (slot < w.node_count) w.force[slot] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
}
