// The error of the repulsion: at some nodes spread evenly over the slots, the exact sum in double precision against what
// the tree found.
//
// Grid: one block a sample. Bytes: 16 read a node and sample. Runs: after the repulsion and before anything else adds to
// `force`, when a measurement was asked for. Agrees with: `World::repulsion_error` of `sim/cpu/world.rs`.

#include "layout.cuh"

KERNEL(repulse_sample) {
    __shared__ double shared[3][kBlock];
    const Params law = *w.params;
    u32 slot = (u32)((u64)blockIdx.x * w.node_count / w.sample_count);
    float4 at = w.point[slot];
    double sum[3] = {0.0, 0.0, 0.0};
    double cutoff2 = (double)law.cutoff * law.cutoff;
    for (u32 other = threadIdx.x; other < w.node_count; other += kBlock) {
        float4 source = w.point[other];
        double x = (double)at.x - source.x, y = (double)at.y - source.y, z = (double)at.z - source.z;
        double d2 = x * x + y * y + z * z, q = d2 + law.soft2;
        double factor = (double)law.strength * at.w * source.w / (law.model == 0 ? q * q : q);
        if (!(d2 <= cutoff2)) factor = 0.0;
        sum[0] += factor * x, sum[1] += factor * y, sum[2] += factor * z;
    }
    for (u32 axis = 0; axis < 3; axis++) shared[axis][threadIdx.x] = sum[axis];
    __syncthreads();
    for (u32 half = kBlock / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            for (u32 axis = 0; axis < 3; axis++) shared[axis][threadIdx.x] += shared[axis][threadIdx.x + half];
        }
        __syncthreads();
    }
    if (threadIdx.x != 0) return;
    float4 found = w.force[slot];
    double x = found.x - shared[0][0], y = found.y - shared[1][0], z = found.z - shared[2][0];
    w.sample[2 * blockIdx.x] = x * x + y * y + z * z;
    w.sample[2 * blockIdx.x + 1] = shared[0][0] * shared[0][0] + shared[1][0] * shared[1][0] + shared[2][0] * shared[2][0];
}
