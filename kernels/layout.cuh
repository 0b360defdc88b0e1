// What the kernels and the host share: the arrays of one graph, the parameters of a step, and how they are cut up.
//
// Every kernel takes one argument, a `World` by value, so launching one is its name, a grid and a block. All device
// memory is `World`'s. `src/sim/cuda/layout.rs` has the same structs; both sides assert the same sizes and offsets.
//
// Two orders of the nodes. By *slot*: the order of state, edges and components, dealt at an upload along a space-filling
// curve of the start positions. By *rank*: the order along that curve of recent positions, remade every few steps;
// `order` gives the slot at a rank. By *node* only what leaves the device.
//
// No sum depends on the order in which blocks run: floats are added in fixed trees, atomics are on integers only.

#pragma once

#ifdef SWARMCAST_HOST
#include "host.hpp"
#endif

typedef unsigned int u32;
typedef unsigned long long u64;

// Points of a leaf, and cells of a cell: eight consecutive ones, whatever their keys.
constexpr u32 kFan = 8;
constexpr u32 kFanBits = 3;
// Levels of cells. Eight times itself this often is more than the 2^26 nodes that ids can number.
constexpr u32 kLevels = 10;
// Threads of every block that is not one warp's work alone.
constexpr u32 kBlock = 256;
constexpr u32 kWarp = 32;
constexpr u32 kWarpsPerBlock = kBlock / kWarp;
constexpr u32 kAllLanes = 0xffffffffu;
// Warps of a block that walks the tree, one group of targets each.
constexpr u32 kWalkWarps = 4;
// Keys that one block sorts.
constexpr u32 kSortTile = 2048;
constexpr u32 kDigits = 256;
// Most blocks of a reduction over the nodes.
constexpr u32 kReduceBlocks = 1024;
// Half-edges of a row that one thread sums alone.
constexpr u32 kRowMax = 64;
// Half-edges of a piece of a longer row, one warp's work.
constexpr u32 kRowPiece = 512;
// Nodes of a piece of a component, one warp's work.
constexpr u32 kComponentPiece = 1024;
// Most nodes at which one measurement of the repulsion's error looks.
constexpr u32 kSamples = 64;

// Bits of `Params::flags`.
constexpr u32 kFlat = 1;
constexpr u32 kRepulsion = 2;
constexpr u32 kSprings = 4;
constexpr u32 kCentring = 8;

// Bits of `World::state`.
constexpr u32 kPinned = 1;
constexpr u32 kHeld = 2;
constexpr u32 kFixed = kPinned | kHeld;
constexpr u32 kNonFinite = 4;

// What parameters come to. Uploaded when they change, read back and compared.
struct Params {
    float strength;               //   0  repel_k times what of softening the law is scaled with
    float soft2;                  //   4  softening^2
    float spread_d2;              //   8  correction for the spread of a cell: factor on d^2
    float spread_soft2;           //  12  factor on softening^2, times softening^2
    float cutoff;                 //  16  world units; infinite when there is none
    float cutoff2;                //  20
    float inverse_theta2;         //  24  1 / theta^2
    float push;                   //  28  strength of the parting of coincident nodes of mass 1
    float spring_k;               //  32  0 when springs are off
    float time_step;              //  36  s
    float damping;                //  40
    float inertia_per_stiffness;  //  44
    float max_force;              //  48  world units / s^2
    float max_velocity;           //  52  world units / s
    float bound;                  //  56  half-side of the bounds, world units
    float boundary_damping;       //  60
    float self_stiffness;         //  64  factor of the law at distance 0, before `strength`
    u32 flags;                    //  68
    u32 model;                    //  72  0 t-force, 1 ForceAtlas2, 2 LinLog
    float rest_length;            //  76  world units, of springs whose own is negative
    float spring_tail;            //  80  grip of a spring: tail + head * soft2 / (soft2 + d^2)
    float spring_head;            //  84
    float spring_stiffness;       //  88  most stiffness of a spring of weight 1; 0 when springs are off
    u32 reserved;                 //  92
    double centre_pull;           //  96  1 / s^2
};
static_assert(sizeof(Params) == 104, "src/sim/cuda/layout.rs has the same");

// What a step measured, all sums over free nodes.
struct Report {
    double speed2;   //  0  (world units / s)^2
    double force2;   //  8  (world units / s^2)^2
    double energy;   // 16  half of mass times speed^2
    double error2;   // 24  of the repulsion, over the sampled nodes
    double exact2;   // 32
    u32 free_nodes;  // 40
    u32 resets;      // 44  nodes that were non-finite and put back
    u32 warm_nodes;  // 48
    u32 reserved;    // 52
    float low[3];    // 56  least and greatest coordinate, world units; 0 when nobody needs them
    float high[3];   // 68
};
static_assert(sizeof(Report) == 80, "src/sim/cuda/layout.rs has the same");

// One node told to be somewhere or not to move.
struct Edit {
    u32 slot;     //  0
    u32 state;    //  4  kPinned, kHeld
    float at[3];  //  8  world units
    u32 moved;    // 20  whether `at` counts
};
static_assert(sizeof(Edit) == 24, "src/sim/cuda/layout.rs has the same");

// A node that something happened to, and how warm it and its neighbours shall at least be.
struct Touch {
    u32 slot;      //  0
    float own;     //  4
    float around;  //  8
    u32 reserved;  // 12
};
static_assert(sizeof(Touch) == 16, "src/sim/cuda/layout.rs has the same");

// The cube that the keys of the curve divide.
struct Frame {
    float low[3];
    float scale;  // cells per world unit
};
static_assert(sizeof(Frame) == 16, "src/sim/cuda/layout.rs has the same");

// One block's share of a reduction.
struct Extent {
    double sum[3];
    double sum2;
    float low[3];
    float high[3];
};
static_assert(sizeof(Extent) == 56, "src/sim/cuda/layout.rs has the same");

// One block's share of a report.
struct Tally {
    double speed2;
    double force2;
    double energy;
    double free_nodes;
};
static_assert(sizeof(Tally) == 32, "src/sim/cuda/layout.rs has the same");

struct World {
    const Params* params;      //   0
    // [node_count] by slot
    float4* point;             //   8  position, world units; repulsion mass
    float4* velocity;          //  16  world units / s; w unused
    float4* force;             //  24  sum of the forces; w stiffness
    const float4* extra;       //  32  forces from outside the model; w their stiffness; null when there are none
    float4* home;              //  40  where the node was placed
    u32* state;                //  48
    const u32* component;      //  56
    const u32* slot_of;        //  64  by node
    // rows over slots
    const u32* row;            //  72  [node_count + 1]
    const u32* neighbour;      //  80  [half_edge_count]
    const float* weight;       //  88  [half_edge_count]
    const float* rest;         //  96  [half_edge_count], world units; negative: as the parameters say
    const float* weight_sum;   // 104  [node_count]
    const u32* long_row;       // 112  [long_row_count] slots
    const u32* long_first;     // 120  [long_row_count + 1] pieces
    const uint2* row_piece;    // 128  [row_piece_count] slot, first half-edge
    float4* row_piece_force;   // 136  [row_piece_count]
    // components
    const u32* member;         // 144  [node_count] slots, component by component
    const uint2* member_piece; // 152  [member_piece_count] first and last + 1 of `member`
    double* piece_sum;         // 160  [member_piece_count * 3]
    const u32* component_first;// 168  [component_count + 1] pieces
    const u32* component_size; // 176  [component_count] nodes
    float4* centring;          // 184  [component_count] world units / s^2
    // the order along the curve
    Frame* frame;              // 192
    Extent* extent;            // 200  [kReduceBlocks]
    u64* key;                  // 208  [node_count] being sorted
    u64* key_next;             // 216  [node_count]
    u32* order;                // 224  [node_count] slots by rank; being sorted
    u32* order_next;           // 232  [node_count]
    u32* digit_count;          // 240  [kDigits * sort_blocks]
    u32* digit_total;          // 248  [kDigits]
    // the tree; levels one after the other, leaves first
    float4* sorted;            // 256  [node_count] points by rank
    float4* cell_at;           // 264  [cell_count] centre of mass; mass
    float4* cell_reach;        // 272  [cell_count] size^2; spread; radius; 0
    float4* box_low;           // 280  [cell_count] lowest corner; xy of the tensor of spread
    float4* box_high;          // 288  [cell_count] highest corner; xz
    float4* tensor;            // 296  [cell_count] xx, yy, zz, yz
    // exact sums, measurement, output
    float4* partial;           // 304  [split_count * node_count]
    double* sample;            // 312  [kSamples * 2] squared error, squared exact
    Tally* tally;              // 320  [kReduceBlocks]
    u32* counters;             // 328  [2] nodes put back, warm nodes
    const Edit* edit;          // 336  [edit_count]
    float* out;                // 344  [node_count * 6] position and velocity by node, the Report, [node_count * 3] position by wire place
    float* warmth;             // 352  [node_count] 0 to 1
    float* warmth_next;        // 360  [node_count] 0 outside a step
    const Touch* touch;        // 368  [touch_count]
    const u32* wire;           // 376  [node_count] slot by wire place
    u32 node_count;            // 384
    u32 edit_count;            // 388
    u32 long_row_count;        // 392
    u32 row_piece_count;       // 396
    u32 member_piece_count;    // 400
    u32 component_count;       // 404
    u32 sort_blocks;           // 408
    u32 shift;                 // 412  of the digit being sorted
    u32 level;                 // 416  being built
    u32 level_count;           // 420
    u32 split_count;           // 424
    u32 sample_count;          // 428
    u32 reduce_blocks;         // 432
    u32 touch_count;           // 436
    float temperature;         // 440  of nodes that are not warmer
    float lift;                // 444  world units; 0 where `refit_nodes` leaves nodes in their plane
    u32 level_first[kLevels];  // 448  cell
    u32 level_cells[kLevels];  // 488
};
static_assert(sizeof(World) == 528, "src/sim/cuda/layout.rs has the same");

#define KERNEL(name) extern "C" __global__ void __launch_bounds__(kBlock) name(const World w)
#define DEVICE static __device__ __forceinline__

DEVICE u32 thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

// 1 / q to the last bit or next to it.
DEVICE float reciprocal(float q) {
#ifdef __CUDA_ARCH__
    float result;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(q));
    return result;
#else
    return 1.0f / q;
#endif
}

// Not by minima and maxima, which would turn a NaN into a bound.
DEVICE float clamped(float value, float bound) {
    return value < -bound ? -bound : value > bound ? bound : value;
}

// Whether all three are finite.
DEVICE bool finite3(float x, float y, float z) {
    return x * 0.0f + y * 0.0f + z * 0.0f == 0.0f;
}

// Scrambles 32 bits. `sim/hash.rs` has the same.
DEVICE u32 mix(u32 bits) {
    bits ^= bits >> 16;
    bits *= 0x7feb352du;
    bits ^= bits >> 15;
    bits *= 0x846ca68bu;
    return bits ^ (bits >> 16);
}

DEVICE u32 mix2(u32 first, u32 second) { return mix(first ^ mix(second + 0x9e3779b9u)); }

DEVICE float cube_axis(u32 key, u32 salt) {
    return (float)(mix2(key, salt) >> 8) * (2.0f / 16777216.0f) - 1.0f;
}

// A direction of length 1, a function of `key` alone.
DEVICE float3 direction(u32 key, bool flat) {
    float x = cube_axis(key, 1), y = cube_axis(key, 2), z = flat ? 0.0f : cube_axis(key, 3);
    float length = sqrtf(x * x + y * y + z * z);
    if (length < 1e-3f) return make_float3(1.0f, 0.0f, 0.0f);
    return make_float3(x / length, y / length, z / length);
}
