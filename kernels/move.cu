// From forces to motion: inertia, clamps, semi-implicit Euler, bounds; and the sums that say when to rest.
//
// `move_nodes`: at most kReduceBlocks blocks with a fixed stride; 64 B read a node (80 with extra forces), 48 written. Marks
// what became non-finite for the gate. `move_report`: one block, joins the sums in a fixed order and takes the counters.
// Runs: after all forces; the gate comes between the two. Agrees with: `Motion::advance` of `sim/cpu/motion.rs`.

#include "layout.cuh"

// Shortens a vector to `most`, never above it by rounding.
DEVICE float3 shortened(float3 vector, float most) {
    float length2 = vector.x * vector.x + vector.y * vector.y + vector.z * vector.z;
    if (!(length2 > most * most)) return vector;
    float scale = most / sqrtf(length2) * (1.0f - 4.0f * 1.1920929e-7f);
    return make_float3(vector.x * scale, vector.y * scale, vector.z * scale);
}

DEVICE void add(Tally& into, const Tally& other) {
    into.speed2 += other.speed2;
    into.force2 += other.force2;
    into.energy += other.energy;
    into.free_nodes += other.free_nodes;
}

// Leaves the block's sum in the first of `shared`, added as a tree of fixed shape.
DEVICE void add_block(Tally* shared, const Tally& own) {
    shared[threadIdx.x] = own;
    __syncthreads();
    for (u32 half = kBlock / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) add(shared[threadIdx.x], shared[threadIdx.x + half]);
        __syncthreads();
    }
}

// One axis: the new velocity, and the place it leads to.
DEVICE float bounced(const Params& law, float& at, float velocity) {
    float moved = at + velocity * law.time_step;
    at = clamped(moved, law.bound);
    return fabsf(moved) > law.bound ? velocity * -law.boundary_damping : velocity;
}

DEVICE void move_node(const World& w, const Params& law, u32 slot, Tally& tally) {
    u32 state = w.state[slot];
    if (state & kFixed) {
        w.velocity[slot] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        return;
    }
    float4 at = w.point[slot], velocity = w.velocity[slot], force = w.force[slot];
    if (w.extra != nullptr) {
        float4 extra = w.extra[slot];
        force = make_float4(force.x + extra.x, force.y + extra.y, force.z + extra.z, force.w + extra.w);
    }
    float inertia = fmaxf(force.w * law.inertia_per_stiffness, 1.0f);
    float3 felt = make_float3(force.x / inertia, force.y / inertia, force.z / inertia);
    if (law.flags & kCentring) {
        float4 centring = w.centring[w.component[slot]];
        felt = make_float3(felt.x + centring.x, felt.y + centring.y, felt.z + centring.z);
    }
    felt = shortened(felt, law.max_force);
    float push = fmaxf(w.temperature, w.warmth[slot]) * law.time_step;
    float3 speed = make_float3(
        (velocity.x + felt.x * push) * law.damping, (velocity.y + felt.y * push) * law.damping,
        (velocity.z + felt.z * push) * law.damping
    );
    speed = shortened(speed, law.max_velocity);
    speed.x = bounced(law, at.x, speed.x);
    speed.y = bounced(law, at.y, speed.y);
    speed.z = bounced(law, at.z, speed.z);
    w.point[slot] = at;
    w.velocity[slot] = make_float4(speed.x, speed.y, speed.z, 0.0f);
    bool finite = finite3(at.x, at.y, at.z) && finite3(speed.x, speed.y, speed.z);
    if (!finite) {
        w.state[slot] = state | kNonFinite;
        return;
    }
    double speed2 = speed.x * speed.x + speed.y * speed.y + speed.z * speed.z;
    tally.speed2 += speed2;
    tally.force2 += felt.x * felt.x + felt.y * felt.y + felt.z * felt.z;
    tally.energy += 0.5 * at.w * speed2;
    tally.free_nodes += 1.0;
}

KERNEL(move_nodes) {
    __shared__ Tally shared[kBlock];
    const Params law = *w.params;
    Tally own = {0.0, 0.0, 0.0, 0.0};
    for (u32 slot = thread_index(); slot < w.node_count; slot += gridDim.x * kBlock) move_node(w, law, slot, own);
    add_block(shared, own);
    if (threadIdx.x == 0) w.tally[blockIdx.x] = shared[0];
}

KERNEL(move_report) {
    __shared__ Tally shared[kBlock];
    Tally own = {0.0, 0.0, 0.0, 0.0};
    for (u32 block = threadIdx.x; block < w.reduce_blocks; block += kBlock) add(own, w.tally[block]);
    add_block(shared, own);
    if (threadIdx.x != 0) return;
    Report report;
    report.speed2 = shared[0].speed2;
    report.force2 = shared[0].force2;
    report.energy = shared[0].energy;
    report.free_nodes = (u32)shared[0].free_nodes;
    report.resets = w.counters[0];
    report.warm_nodes = w.counters[1];
    report.reserved = 0;
    for (u32 axis = 0; axis < 3; axis++) report.low[axis] = report.high[axis] = 0.0f;
    w.counters[0] = w.counters[1] = 0;
    report.error2 = report.exact2 = 0.0;
    for (u32 sample = 0; sample < w.sample_count; sample++) {
        report.error2 += w.sample[2 * sample];
        report.exact2 += w.sample[2 * sample + 1];
    }
    *(Report*)(w.out + 6 * (size_t)w.node_count) = report;
}
