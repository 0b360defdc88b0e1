// What was asked of nodes between two steps. `edit_nodes`: hold, release, pin, unpin some of them. `reset_nodes`: all of them back to
// where they were placed, at rest, cold, nothing held.
//
// Grid: one thread an edit, and the host sends one edit a slot; one thread a node. Bytes an edit: 24 read, up to 52 written; a
// node: 20 read, 44 written. Runs: first in a step, a reset before edits.
// Agrees with: `World::hold`, `release`, `pin` and `reset_all` of `sim/cpu/world.rs`.

#include "layout.cuh"

KERNEL(edit_nodes) {
    u32 index = thread_index();
    if (index >= w.edit_count) return;
    Edit edit = w.edit[index];
    w.state[edit.slot] = edit.state;
    w.velocity[edit.slot] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (edit.moved) w.point[edit.slot] = make_float4(edit.at[0], edit.at[1], edit.at[2], w.point[edit.slot].w);
}

KERNEL(reset_nodes) {
    u32 slot = thread_index();
    if (slot >= w.node_count) return;
    w.point[slot] = w.home[slot];
    w.velocity[slot] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    w.state[slot] &= kPinned;
    w.warmth[slot] = 0.0f;
    w.warmth_next[slot] = 0.0f;
}
