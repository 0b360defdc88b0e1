// Warmth of single nodes in a layout that is cold: what a drag, a pin or a change of the graph moves, and what moves along.
//
// `warm_touch`: one warp a touch; the nodes that are touched, and their neighbours, are at least so warm. `warm_spread`: one
// thread a node, its warp together for each row; warm nodes that move hand a share on. `warm_fade`: one thread a node; all
// fade, and those that are still warm are counted. Maxima of words do not depend on the order in which they are taken.
//
// Bytes a node: spread 20 read, fade 8 read and 8 written. Runs: touch before `move_nodes`, the others between it and
// `move_report`; none of them while nothing is warm. Agrees with: `Warmth` of `sim/cpu/warmth.rs`, where a node may hand on
// what it was handed in the same step if it is later in the list.

#include "layout.cuh"

constexpr float kWarmthKept = 0.95f;
constexpr float kWarmthHandedOn = 0.7f;
// Way in a step, in rest lengths.
constexpr float kWarmthMoving = 0.002f;
constexpr float kWarmthCold = 1e-3f;

// Raises a warmth, which is never negative: such floats have the order of their words.
DEVICE void raise(float* warmth, float to) {
    if (to >= kWarmthCold) atomicMax((u32*)warmth, __float_as_uint(to));
}

KERNEL(warm_touch) {
    u32 index = thread_index() / kWarp, lane = threadIdx.x % kWarp;
    if (index >= w.touch_count) return;
    Touch touch = w.touch[index];
    if (lane == 0) raise(&w.warmth[touch.slot], touch.own);
    u32 end = w.row[touch.slot + 1];
    for (u32 half = w.row[touch.slot] + lane; half < end; half += kWarp) raise(&w.warmth[w.neighbour[half]], touch.around);
}

KERNEL(warm_spread) {
    u32 slot = thread_index();
    const Params& law = *w.params;
    float handed = 0.0f;
    if (slot < w.node_count && w.warmth[slot] > 0.0f) {
        float4 velocity = w.velocity[slot];
        float moving = kWarmthMoving * law.rest_length / law.time_step;
        float speed2 = velocity.x * velocity.x + velocity.y * velocity.y + velocity.z * velocity.z;
        if (speed2 > moving * moving) handed = w.warmth[slot] * kWarmthHandedOn;
    }
    for (u32 givers = __ballot_sync(kAllLanes, handed >= kWarmthCold); givers != 0; givers &= givers - 1) {
        u32 giver = __ffs(givers) - 1;
        u32 from = __shfl_sync(kAllLanes, slot, giver);
        float to = __shfl_sync(kAllLanes, handed, giver);
        u32 end = w.row[from + 1];
        for (u32 half = w.row[from] + threadIdx.x % kWarp; half < end; half += kWarp) {
            raise(&w.warmth_next[w.neighbour[half]], to);
        }
    }
}

KERNEL(warm_fade) {
    u32 slot = thread_index();
    if (slot >= w.node_count) return;
    float warmth = fmaxf(w.warmth[slot], w.warmth_next[slot]);
    if (warmth == 0.0f) return;
    warmth *= kWarmthKept;
    w.warmth[slot] = warmth >= kWarmthCold ? warmth : 0.0f;
    w.warmth_next[slot] = 0.0f;
    if (warmth >= kWarmthCold) atomicAdd(&w.counters[1], 1u);
}
