// What leaves the device: positions and velocities in node order, tight, for one copy to pinned memory.
//
// Grid: one thread a node. Bytes a node: 4 + 32 gathered, 24 written. Runs: last in a step.
// Agrees with: `World::write_into` of `sim/cpu/world.rs`.

#include "layout.cuh"

KERNEL(pack_nodes) {
    u32 node = thread_index();
    if (node >= w.node_count) return;
    u32 slot = w.slot_of[node];
    float4 at = w.point[slot], velocity = w.velocity[slot];
    float* out = w.out + 6 * (size_t)node;
    out[0] = at.x, out[1] = at.y, out[2] = at.z;
    out[3] = velocity.x, out[4] = velocity.y, out[5] = velocity.z;
}
