// The law of repulsion between one source and one target, for the exact and the tree kernels.
//
// Agrees with: `add` and `Law` of `sim/cpu/pairs.rs`.

#pragma once

#include "layout.cuh"

// What acts on one target of mass 1, before `Params::strength`: force, and how stiff it is.
struct Pull {
    float x, y, z, stiffness;
};

// Adds one source. Up to 13 operations and a reciprocal; a cell takes four more. A source at the target itself adds
// stiffness but no force. kInverse: falls as 1/d instead of 1/d^3. kCell: the source stands for `spread` around it.
template <bool kInverse, bool kCutoff, bool kCell>
DEVICE void add(Pull& pull, const float4& at, const float4& source, float spread, const Params& law) {
    float x = at.x - source.x, y = at.y - source.y, z = at.z - source.z;
    float q = x * x + (y * y + (z * z + law.soft2));
    float iq = reciprocal(q);
    float iq2 = iq * iq;
    float acting = source.w;
    if (kCell) acting += spread * (law.spread_d2 * (q - law.soft2) - law.spread_soft2) * iq2;
    float weight = acting * (kInverse ? iq : iq2);
    if (kCutoff) weight = x * x + y * y + z * z <= law.cutoff2 ? weight : 0.0f;
    pull.x += weight * x;
    pull.y += weight * y;
    pull.z += weight * z;
    pull.stiffness += weight;
}

// From mass 1 to the node's own, without the node's own share of the stiffness.
DEVICE float4 force_of(const Pull& pull, float mass, const Params& law) {
    float scale = law.strength * mass;
    float stiffness = scale * fmaxf(pull.stiffness - mass * law.self_stiffness, 0.0f);
    return make_float4(pull.x * scale, pull.y * scale, pull.z * scale, stiffness);
}
