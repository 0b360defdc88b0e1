// The gate: no non-finite number enters a step or leaves it.
//
// `gate_mark` finds the nodes, `gate_place` finds each a place, the mean of its finite neighbours or where it was placed
// at first, and `gate_reset` puts it there, at rest. Apart, so that no node is placed beside one that is being put back.
//
// Grid: one thread a node. Bytes a node: mark 36 read; the others 4 read, more only for nodes that are put back.
// Runs: all three before the forces; `gate_place` and `gate_reset` again after `move_nodes`, which marks for itself.
// Agrees with: `World::reset_nonfinite` of `sim/cpu/world.rs`, but that neighbours which are non-finite themselves never count.

#include "layout.cuh"

KERNEL(gate_mark) {
    u32 slot = thread_index();
    if (slot >= w.node_count) return;
    float4 at = w.point[slot], velocity = w.velocity[slot];
    bool finite = finite3(at.x, at.y, at.z) && finite3(velocity.x, velocity.y, velocity.z);
    if (!finite) w.state[slot] |= kNonFinite;
}

KERNEL(gate_place) {
    u32 slot = thread_index();
    if (slot >= w.node_count) return;
    if (!(w.state[slot] & kNonFinite)) return;
    double x = 0.0, y = 0.0, z = 0.0;
    u32 count = 0;
    for (u32 half = w.row[slot]; half < w.row[slot + 1]; half++) {
        float4 near = w.point[w.neighbour[half]];
        if (finite3(near.x, near.y, near.z)) {
            x += near.x, y += near.y, z += near.z;
            count++;
        }
    }
    float4 to = w.home[slot];
    if (count > 0) to = make_float4((float)(x / count), (float)(y / count), (float)(z / count), 0.0f);
    float bound = w.params->bound;
    // The place waits in `force`, which is free here: summed after the gate before a step, done with at the one after.
    float z_to = (w.params->flags & kFlat) ? 0.0f : clamped(to.z, bound);
    w.force[slot] = make_float4(clamped(to.x, bound), clamped(to.y, bound), z_to, 0.0f);
    atomicAdd(&w.counters[0], 1u);
}

KERNEL(gate_reset) {
    u32 slot = thread_index();
    if (slot >= w.node_count) return;
    if (!(w.state[slot] & kNonFinite)) return;
    float4 to = w.force[slot];
    w.point[slot] = make_float4(to.x, to.y, to.z, w.point[slot].w);
    w.velocity[slot] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    w.force[slot] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    w.state[slot] &= ~kNonFinite;
}
