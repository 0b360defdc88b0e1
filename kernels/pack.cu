// What leaves the device, tight, for one copy to pinned memory. `pack_nodes`: positions and velocities in node order. `pack_wire`:
// positions in the order in which the compact profile names nodes, and `frame_bounds` of frame.cu the box around them, when somebody
// subscribes to it.
//
// Grid: one thread a node. Bytes a node: 4 + 32 gathered, 24 written; for the wire 4 + 16 gathered, 12 written. Runs: last in a step.
// Agrees with: `World::write_into` of `sim/cpu/world.rs`, and `Dealer::gather` of `sim/dealer.rs`.

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

KERNEL(pack_wire) {
    u32 place = thread_index();
    if (place >= w.node_count) return;
    float4 at = w.point[w.wire[place]];
    float* out = (float*)((char*)(w.out + 6 * (size_t)w.node_count) + sizeof(Report)) + 3 * (size_t)place;
    out[0] = at.x, out[1] = at.y, out[2] = at.z;
}
