// Parts coincident nodes, on which no law of repulsion acts: a push along the hash of the slot, as strong as the law gets.
//
// Coincident nodes have one key and so stand together in the curve order, also while that is a few steps old. Nodes of the
// same key at other places may stand between them; such a pair is looked for two places either way.
// Grid: one thread a rank. Bytes a node: 4 + 16 read, its neighbours' from the cache.
// Runs: after the repulsion and its measurement, before `move_nodes`. Agrees with: `part_coincident` of the CPU backend.

#include "layout.cuh"

DEVICE bool same_place(const float4& left, const float4& right) {
    return left.x == right.x && left.y == right.y && left.z == right.z;
}

KERNEL(part_coincident) {
    u32 rank = thread_index();
    if (rank >= w.node_count) return;
    u32 slot = w.order[rank];
    float4 at = w.point[slot];
    bool together = false;
    for (u32 apart = 1; apart <= 2; apart++) {
        if (rank >= apart) together |= same_place(at, w.point[w.order[rank - apart]]);
        if (rank + apart < w.node_count) together |= same_place(at, w.point[w.order[rank + apart]]);
    }
    if (!together) return;
    float3 way = direction(mix(slot), w.params->flags & kFlat);
    float strength = w.params->push * at.w * at.w;
    float4 force = w.force[slot];
    w.force[slot] = make_float4(force.x + strength * way.x, force.y + strength * way.y, force.z + strength * way.z, force.w);
}
