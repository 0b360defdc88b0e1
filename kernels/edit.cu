// What was asked of single nodes between two steps: hold, release, pin, unpin.
//
// Grid: one thread an edit; the host sends one edit a slot. Bytes an edit: 24 read, up to 52 written.
// Runs: first in a step. Agrees with: `World::hold`, `release` and `pin` of `sim/cpu/world.rs`.

#include "layout.cuh"

KERNEL(edit_nodes) {
    u32 index = thread_index();
    if (index >= w.edit_count) return;
    Edit edit = w.edit[index];
    w.state[edit.slot] = edit.state;
    w.velocity[edit.slot] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (edit.moved) w.point[edit.slot] = make_float4(edit.at[0], edit.at[1], edit.at[2], w.point[edit.slot].w);
}
