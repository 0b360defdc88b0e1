// The tree over the nodes in curve order: leaves of eight consecutive points, cells of eight consecutive cells, each with
// its box, mass, centre and spread. Implicit: cell c of a level has the cells 8c to 8c+7 of the level below, so nothing is
// linked or counted, and a dense place has smaller leaves, never fuller ones.
//
// `tree_gather`: one thread a node, 20 B read, 16 written. `tree_leaves`: one thread a leaf, 16 B read a node, 10 written.
// `tree_level`: one thread a cell of `World::level`. `tree_top`: one block, all levels from `World::level` up.
// Runs: in this order, after the gate and, when the order is remade, after the sort; the boxes are those of this step even
// where the order is older. Agrees with: `Builder::cell` and `open2` of `sim/cpu/tree.rs`, but for which points make a cell.

#include "layout.cuh"

// How line-like the points of a cell must be, and what the length of a line is multiplied with: the correction for the
// spread of a cell, even in all directions, is wrong for a line.
constexpr float kLineShare = 0.9f;
constexpr float kLineSize = 2.5f;

// What the squared size of a cell is multiplied with: a run of the curve is not the cube that an octree's cell is, so the
// correction fits it less. On 40,000 random points at theta 1 the RMS error is 3.9 % without it, 1.4 % at 1.5, 0.9 % at 2.
constexpr float kRunSize = 2.0f;

// A cell being summed. Source of the pairwise sums: the parallel axis theorem (Chan et al. 1979).
struct Sum {
    float3 low, high, centre;
    float mass;
    float xx, yy, zz, xy, xz, yz;
};

DEVICE void store_cell(const World& w, u32 cell, const Sum& sum) {
    float trace = sum.xx + sum.yy + sum.zz;
    float squares = sum.xx * sum.xx + sum.yy * sum.yy + sum.zz * sum.zz +
                    2.0f * (sum.xy * sum.xy + sum.xz * sum.xz + sum.yz * sum.yz);
    bool line = squares > kLineShare * trace * trace;
    float side = fmaxf(sum.high.x - sum.low.x, fmaxf(sum.high.y - sum.low.y, sum.high.z - sum.low.z));
    side *= line ? kLineSize : 1.0f;
    float x = fmaxf(sum.centre.x - sum.low.x, sum.high.x - sum.centre.x);
    float y = fmaxf(sum.centre.y - sum.low.y, sum.high.y - sum.centre.y);
    float z = fmaxf(sum.centre.z - sum.low.z, sum.high.z - sum.centre.z);
    float radius2 = x * x + y * y + z * z;
    // The longest side, or that of the cube which the radius fills: a cell with a stray point is as large as it is far.
    float size2 = kRunSize * fmaxf(radius2 / 0.75f, side * side);
    w.cell_at[cell] = make_float4(sum.centre.x, sum.centre.y, sum.centre.z, sum.mass);
    w.cell_reach[cell] = make_float4(size2, trace, sqrtf(radius2), 0.0f);
    w.box_low[cell] = make_float4(sum.low.x, sum.low.y, sum.low.z, sum.xy);
    w.box_high[cell] = make_float4(sum.high.x, sum.high.y, sum.high.z, sum.xz);
    w.tensor[cell] = make_float4(sum.xx, sum.yy, sum.zz, sum.yz);
}

KERNEL(tree_gather) {
    u32 rank = thread_index();
    if (rank < w.node_count) w.sorted[rank] = w.point[w.order[rank]];
}

KERNEL(tree_leaves) {
    u32 leaf = thread_index();
    if (leaf >= w.level_cells[0]) return;
    u32 first = leaf * kFan, end = min(first + kFan, w.node_count);
    Sum sum;
    float4 base = w.sorted[first];
    sum.low = sum.high = make_float3(base.x, base.y, base.z);
    sum.mass = 0.0f;
    float x = 0.0f, y = 0.0f, z = 0.0f;
    for (u32 rank = first; rank < end; rank++) {
        float4 at = w.sorted[rank];
        sum.low = make_float3(fminf(sum.low.x, at.x), fminf(sum.low.y, at.y), fminf(sum.low.z, at.z));
        sum.high = make_float3(fmaxf(sum.high.x, at.x), fmaxf(sum.high.y, at.y), fmaxf(sum.high.z, at.z));
        sum.mass += at.w;
        // From the first point, not from the origin: a small cell far out would lose its digits.
        x += at.w * (at.x - base.x);
        y += at.w * (at.y - base.y);
        z += at.w * (at.z - base.z);
    }
    sum.centre = make_float3(base.x + x / sum.mass, base.y + y / sum.mass, base.z + z / sum.mass);
    sum.xx = sum.yy = sum.zz = sum.xy = sum.xz = sum.yz = 0.0f;
    for (u32 rank = first; rank < end; rank++) {
        float4 at = w.sorted[rank];
        float dx = at.x - sum.centre.x, dy = at.y - sum.centre.y, dz = at.z - sum.centre.z;
        sum.xx += at.w * dx * dx;
        sum.yy += at.w * dy * dy;
        sum.zz += at.w * dz * dz;
        sum.xy += at.w * dx * dy;
        sum.xz += at.w * dx * dz;
        sum.yz += at.w * dy * dz;
    }
    store_cell(w, leaf, sum);
}

DEVICE void sum_children(const World& w, u32 level, u32 index) {
    u32 below = w.level_first[level - 1];
    u32 first = below + index * kFan, end = min(first + kFan, below + w.level_cells[level - 1]);
    Sum sum;
    float4 base = w.cell_at[first];
    sum.mass = 0.0f;
    float x = 0.0f, y = 0.0f, z = 0.0f;
    for (u32 child = first; child < end; child++) {
        float4 at = w.cell_at[child];
        sum.mass += at.w;
        x += at.w * (at.x - base.x);
        y += at.w * (at.y - base.y);
        z += at.w * (at.z - base.z);
    }
    sum.centre = make_float3(base.x + x / sum.mass, base.y + y / sum.mass, base.z + z / sum.mass);
    sum.xx = sum.yy = sum.zz = sum.xy = sum.xz = sum.yz = 0.0f;
    for (u32 child = first; child < end; child++) {
        float4 at = w.cell_at[child], low = w.box_low[child], high = w.box_high[child], tensor = w.tensor[child];
        float dx = at.x - sum.centre.x, dy = at.y - sum.centre.y, dz = at.z - sum.centre.z;
        sum.xx += tensor.x + at.w * dx * dx;
        sum.yy += tensor.y + at.w * dy * dy;
        sum.zz += tensor.z + at.w * dz * dz;
        sum.xy += low.w + at.w * dx * dy;
        sum.xz += high.w + at.w * dx * dz;
        sum.yz += tensor.w + at.w * dy * dz;
        if (child == first) {
            sum.low = make_float3(low.x, low.y, low.z);
            sum.high = make_float3(high.x, high.y, high.z);
        }
        sum.low = make_float3(fminf(sum.low.x, low.x), fminf(sum.low.y, low.y), fminf(sum.low.z, low.z));
        sum.high = make_float3(fmaxf(sum.high.x, high.x), fmaxf(sum.high.y, high.y), fmaxf(sum.high.z, high.z));
    }
    store_cell(w, w.level_first[level] + index, sum);
}

KERNEL(tree_level) {
    u32 index = thread_index();
    if (index < w.level_cells[w.level]) sum_children(w, w.level, index);
}

KERNEL(tree_top) {
    for (u32 level = w.level; level < w.level_count; level++) {
        for (u32 index = threadIdx.x; index < w.level_cells[level]; index += kBlock) sum_children(w, level, index);
        // What this block wrote to global memory its other threads read next.
        __syncthreads();
    }
}
