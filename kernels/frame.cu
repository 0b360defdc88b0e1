// The cube that the keys of the curve divide: around the points, but at most four standard deviations each way, so that
// one node flung far away does not leave the rest a single cell.
//
// `frame_extents`: at most kReduceBlocks blocks of kBlock, each with a fixed stride; 16 B read a node.
// `frame_join`: one block. Runs: after the gate. Agrees with: `KeyFrame::around` of `sim/cpu/morton.rs`.
// `frame_bounds`: one block; the box of all points for the wire, into the report. Runs: after `frame_extents` and `move_report`, at the
// end of a step. Agrees with: `Dealer::gather` of `sim/dealer.rs`.

#include "layout.cuh"

DEVICE void join(Extent& into, const Extent& other) {
    for (u32 axis = 0; axis < 3; axis++) {
        into.sum[axis] += other.sum[axis];
        into.low[axis] = fminf(into.low[axis], other.low[axis]);
        into.high[axis] = fmaxf(into.high[axis], other.high[axis]);
    }
    into.sum2 += other.sum2;
}

DEVICE Extent empty_extent() {
    Extent extent;
    for (u32 axis = 0; axis < 3; axis++) {
        extent.sum[axis] = 0.0;
        extent.low[axis] = 3.402823466e38f;
        extent.high[axis] = -3.402823466e38f;
    }
    extent.sum2 = 0.0;
    return extent;
}

// Leaves the block's sum in the first of `shared`, added as a tree of fixed shape.
DEVICE void join_block(Extent* shared, const Extent& own) {
    shared[threadIdx.x] = own;
    __syncthreads();
    for (u32 half = kBlock / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) join(shared[threadIdx.x], shared[threadIdx.x + half]);
        __syncthreads();
    }
}

KERNEL(frame_extents) {
    __shared__ Extent shared[kBlock];
    Extent own = empty_extent();
    for (u32 slot = thread_index(); slot < w.node_count; slot += gridDim.x * kBlock) {
        float4 at = w.point[slot];
        Extent one;
        one.sum[0] = one.low[0] = one.high[0] = at.x;
        one.sum[1] = one.low[1] = one.high[1] = at.y;
        one.sum[2] = one.low[2] = one.high[2] = at.z;
        one.sum2 = (double)at.x * at.x + (double)at.y * at.y + (double)at.z * at.z;
        join(own, one);
    }
    join_block(shared, own);
    if (threadIdx.x == 0) w.extent[blockIdx.x] = shared[0];
}

KERNEL(frame_join) {
    __shared__ Extent shared[kBlock];
    Extent own = empty_extent();
    for (u32 block = threadIdx.x; block < w.reduce_blocks; block += kBlock) join(own, w.extent[block]);
    join_block(shared, own);
    if (threadIdx.x != 0) return;
    Extent all = shared[0];
    double count = w.node_count > 0 ? w.node_count : 1;
    double variance = all.sum2 / count, mean[3];
    for (u32 axis = 0; axis < 3; axis++) {
        mean[axis] = all.sum[axis] / count;
        variance -= mean[axis] * mean[axis];
    }
    double reach = 4.0 * sqrt(variance > 0.0 ? variance : 0.0);
    float extent = 0.0f;
    for (u32 axis = 0; axis < 3; axis++) {
        float low = fmaxf(all.low[axis], (float)(mean[axis] - reach));
        float high = fminf(all.high[axis], (float)(mean[axis] + reach));
        w.frame->low[axis] = low;
        extent = fmaxf(extent, high - low);
    }
    float cells = (w.params->flags & kFlat) ? 16777216.0f : 65536.0f;
    w.frame->scale = extent > 0.0f ? cells / extent : 0.0f;
}

KERNEL(frame_bounds) {
    __shared__ Extent shared[kBlock];
    Extent own = empty_extent();
    for (u32 block = threadIdx.x; block < w.reduce_blocks; block += kBlock) join(own, w.extent[block]);
    join_block(shared, own);
    if (threadIdx.x >= 3) return;
    Report* report = (Report*)(w.out + 6 * (size_t)w.node_count);
    // Of two zeros either is the least; what leaves is the positive one.
    report->low[threadIdx.x] = shared[0].low[threadIdx.x] + 0.0f;
    report->high[threadIdx.x] = shared[0].high[threadIdx.x] + 0.0f;
}
