// Where each node is along a Hilbert curve through the frame: 48 bits, 16 an axis in space, 24 in the plane.
//
// Hilbert and not Morton: leaves are runs of eight points whatever their keys, and a run of the Morton order jumps
// across the whole layout where it crosses a border of its octants. Hilbert runs never jump; only empty space parts them.
//
// Grid: one thread a node. Bytes a node: 16 read, 12 written. Runs: after `frame_join`, before the sort.
// Source: Skilling, Programming the Hilbert curve, 2004.

#include "layout.cuh"

// Puts two zeros before each of 16 bits.
DEVICE u64 spread3(u64 bits) {
    bits = (bits | bits << 16) & 0x0000ff0000ffull;
    bits = (bits | bits << 8) & 0x00f00f00f00full;
    bits = (bits | bits << 4) & 0x0c30c30c30c3ull;
    return (bits | bits << 2) & 0x249249249249ull;
}

// Puts one zero before each of 24 bits.
DEVICE u64 spread2(u64 bits) {
    bits = (bits | bits << 16) & 0x00ff0000ffffull;
    bits = (bits | bits << 8) & 0x00ff00ff00ffull;
    bits = (bits | bits << 4) & 0x0f0f0f0f0f0full;
    bits = (bits | bits << 2) & 0x333333333333ull;
    return (bits | bits << 1) & 0x555555555555ull;
}

DEVICE u32 cell_of(float at, float low, float scale, u32 cells) {
    float cell = (at - low) * scale;
    // What lies outside gets the nearest cell; so does a NaN, from zero times infinity.
    return cell > 0.0f ? (cell < (float)cells ? (u32)cell : cells - 1) : 0;
}

DEVICE u64 curve_key(float4 at, const Frame& frame, bool flat) {
    const u32 axes = flat ? 2 : 3;
    const u32 cells = flat ? 1u << 24 : 1u << 16;
    u32 part[3] = {
        cell_of(at.x, frame.low[0], frame.scale, cells),
        cell_of(at.y, frame.low[1], frame.scale, cells),
        flat ? 0 : cell_of(at.z, frame.low[2], frame.scale, cells),
    };
    for (u32 bit = cells >> 1; bit > 1; bit >>= 1) {
        const u32 below = bit - 1;
#pragma unroll
        for (u32 axis = 0; axis < 3; axis++) {
            if (axis >= axes) continue;
            if (part[axis] & bit) {
                part[0] ^= below;
            } else {
                u32 swapped = (part[0] ^ part[axis]) & below;
                part[0] ^= swapped;
                part[axis] ^= swapped;
            }
        }
    }
    part[1] ^= part[0];
    part[2] ^= part[1];
    u32 last = flat ? part[1] : part[2], turned = 0;
    for (u32 bit = cells >> 1; bit > 1; bit >>= 1) {
        if (last & bit) turned ^= bit - 1;
    }
    if (flat) return spread2(part[0] ^ turned) << 1 | spread2(part[1] ^ turned);
    return spread3(part[0] ^ turned) << 2 | spread3(part[1] ^ turned) << 1 | spread3(part[2] ^ turned);
}

KERNEL(curve_keys) {
    u32 slot = thread_index();
    if (slot >= w.node_count) return;
    w.key[slot] = curve_key(w.point[slot], *w.frame, w.params->flags & kFlat);
    w.order[slot] = slot;
}
