// Makes positions fit new parameters: inside the bounds, in the plane, or lifted out of it, where a flat layout would feel
// no force.
//
// Grid: one thread a node. Bytes a node: 52 read, 48 written. Runs: first in a step, after new bounds or dimensions.
// Agrees with: `World::refit` of `sim/cpu/world.rs`.

#include "layout.cuh"

DEVICE float4 inside(float4 at, float bound, bool flat) {
    float z = flat ? 0.0f : clamped(at.z, bound);
    return make_float4(clamped(at.x, bound), clamped(at.y, bound), z, at.w);
}

KERNEL(refit_nodes) {
    u32 node = thread_index();
    if (node >= w.node_count) return;
    u32 slot = w.slot_of[node];
    float bound = w.params->bound;
    bool flat = w.params->flags & kFlat;
    float4 at = w.point[slot], velocity = w.velocity[slot];
    if (w.lift != 0.0f) at.z = w.lift * cube_axis(node, 3);
    w.point[slot] = inside(at, bound, flat);
    w.home[slot] = inside(w.home[slot], bound, flat);
    if (flat) w.velocity[slot] = make_float4(velocity.x, velocity.y, 0.0f, 0.0f);
}
