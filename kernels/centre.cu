// The pull of every component's centroid to the origin: the same for all its nodes, so it squeezes none.
//
// `centre_pieces`: one warp for kComponentPiece nodes of a component. `centre_components`: one warp a component.
// Bytes a node: 4 read in order, 16 gathered. Runs: after the gate, in this order, before `move_nodes`.
// Agrees with: `World::centre` of `sim/cpu/world.rs`.

#include "layout.cuh"

DEVICE double over_lanes(double value) {
    for (u32 apart = kWarp / 2; apart > 0; apart /= 2) value += __shfl_xor_sync(kAllLanes, value, apart);
    return value;
}

KERNEL(centre_pieces) {
    u32 piece = thread_index() / kWarp, lane = threadIdx.x % kWarp;
    if (piece >= w.member_piece_count) return;
    double x = 0.0, y = 0.0, z = 0.0;
    for (u32 index = w.member_piece[piece].x + lane; index < w.member_piece[piece].y; index += kWarp) {
        float4 at = w.point[w.member[index]];
        x += at.x, y += at.y, z += at.z;
    }
    x = over_lanes(x), y = over_lanes(y), z = over_lanes(z);
    if (lane != 0) return;
    w.piece_sum[3 * (size_t)piece] = x;
    w.piece_sum[3 * (size_t)piece + 1] = y;
    w.piece_sum[3 * (size_t)piece + 2] = z;
}

KERNEL(centre_components) {
    u32 component = thread_index() / kWarp, lane = threadIdx.x % kWarp;
    if (component >= w.component_count) return;
    double x = 0.0, y = 0.0, z = 0.0;
    u32 end = w.component_first[component + 1];
    for (u32 piece = w.component_first[component] + lane; piece < end; piece += kWarp) {
        x += w.piece_sum[3 * (size_t)piece];
        y += w.piece_sum[3 * (size_t)piece + 1];
        z += w.piece_sum[3 * (size_t)piece + 2];
    }
    x = over_lanes(x), y = over_lanes(y), z = over_lanes(z);
    if (lane != 0) return;
    double pull = -w.params->centre_pull / w.component_size[component];
    w.centring[component] = make_float4((float)(pull * x), (float)(pull * y), (float)(pull * z), 0.0f);
}
