// Springs by pull: every row sums its own, nothing is scattered, and the order of a row is fixed.
//
// `springs_rows`: one thread a node with at most kRowMax half-edges. `springs_pieces`: one warp for kRowPiece half-edges of a
// longer row. `springs_long`: one warp a long row, adds its pieces.
// Bytes a node: 20 read, 32 read and written; a half-edge: 12 read in order, 16 gathered.
// Runs: after the repulsion, pieces before long. Agrees with: `Springs::add` of `sim/cpu/springs.rs`.

#include "layout.cuh"

// The force of one half-edge on the node of its row.
DEVICE float3 spring(const World& w, const Params& law, u32 slot, const float4& at, u32 half) {
    u32 other = w.neighbour[half];
    float4 to = w.point[other];
    float weight = w.weight[half], rest = w.rest[half];
    rest = rest < 0.0f ? law.rest_length : rest;
    float x = to.x - at.x, y = to.y - at.y, z = to.z - at.z;
    float d2 = x * x + y * y + z * z;
    if (d2 < 1.17549435e-38f) {
        if (law.model != 0) return make_float3(0.0f, 0.0f, 0.0f);
        // A compressed spring of no length has no direction: its ends agree on one by the hash of their slots.
        float3 way = direction(mix2(min(slot, other), max(slot, other)), law.flags & kFlat);
        float strength = law.spring_k * weight * (law.spring_tail + law.spring_head) * rest * (slot < other ? -1.0f : 1.0f);
        return make_float3(strength * way.x, strength * way.y, strength * way.z);
    }
    float distance = sqrtf(d2), along;
    if (law.model == 0) {
        float grip = law.spring_tail + law.spring_head * law.soft2 / (law.soft2 + d2);
        along = law.spring_k * weight * grip * (distance - rest) / distance;
        if ((law.flags & kRepulsion) && weight > 0.0f && d2 <= law.cutoff2) {
            // Neighbours do not repel each other: their edge says how far apart they belong.
            float q = d2 + law.soft2;
            along += law.strength / (q * q) * (at.w * to.w);
        }
    } else if (law.model == 1) {
        along = law.spring_k * weight;
    } else {
        rest = fmaxf(rest, 1.17549435e-38f);
        along = law.spring_k * weight * rest * logf(1.0f + distance / rest) / distance;
    }
    return make_float3(along * x, along * y, along * z);
}

DEVICE void add_to(const World& w, const Params& law, u32 slot, const float3& sum) {
    float4 force = w.force[slot];
    float stiffness = force.w + law.spring_stiffness * w.weight_sum[slot];
    w.force[slot] = make_float4(force.x + sum.x, force.y + sum.y, force.z + sum.z, stiffness);
}

// The sum over the lanes, in every lane, as a tree of fixed shape.
DEVICE float over_lanes(float value) {
    for (u32 apart = kWarp / 2; apart > 0; apart /= 2) value += __shfl_xor_sync(kAllLanes, value, apart);
    return value;
}

KERNEL(springs_rows) {
    u32 slot = thread_index();
    if (slot >= w.node_count) return;
    u32 first = w.row[slot], end = w.row[slot + 1];
    if (end - first > kRowMax || end == first) return;
    const Params law = *w.params;
    float4 at = w.point[slot];
    float3 sum = make_float3(0.0f, 0.0f, 0.0f);
    for (u32 half = first; half < end; half++) {
        float3 one = spring(w, law, slot, at, half);
        sum = make_float3(sum.x + one.x, sum.y + one.y, sum.z + one.z);
    }
    add_to(w, law, slot, sum);
}

KERNEL(springs_pieces) {
    u32 piece = thread_index() / kWarp, lane = threadIdx.x % kWarp;
    if (piece >= w.row_piece_count) return;
    const Params law = *w.params;
    u32 slot = w.row_piece[piece].x, first = w.row_piece[piece].y;
    u32 end = min(first + kRowPiece, w.row[slot + 1]);
    float4 at = w.point[slot];
    float3 sum = make_float3(0.0f, 0.0f, 0.0f);
    for (u32 half = first + lane; half < end; half += kWarp) {
        float3 one = spring(w, law, slot, at, half);
        sum = make_float3(sum.x + one.x, sum.y + one.y, sum.z + one.z);
    }
    sum = make_float3(over_lanes(sum.x), over_lanes(sum.y), over_lanes(sum.z));
    if (lane == 0) w.row_piece_force[piece] = make_float4(sum.x, sum.y, sum.z, 0.0f);
}

KERNEL(springs_long) {
    u32 row = thread_index() / kWarp, lane = threadIdx.x % kWarp;
    if (row >= w.long_row_count) return;
    float3 sum = make_float3(0.0f, 0.0f, 0.0f);
    for (u32 piece = w.long_first[row] + lane; piece < w.long_first[row + 1]; piece += kWarp) {
        float4 one = w.row_piece_force[piece];
        sum = make_float3(sum.x + one.x, sum.y + one.y, sum.z + one.z);
    }
    sum = make_float3(over_lanes(sum.x), over_lanes(sum.y), over_lanes(sum.z));
    if (lane == 0) add_to(w, *w.params, w.long_row[row], sum);
}
