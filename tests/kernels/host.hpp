// The words of CUDA C++ that the kernels use, for a C++20 compiler: see host.cpp for how a launch runs.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
// One block runs at a time, so one copy is enough.
#define __shared__ static

struct alignas(8) uint2 {
    unsigned x, y;
};
struct float3 {
    float x, y, z;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline unsigned min(unsigned left, unsigned right) { return left < right ? left : right; }
inline unsigned max(unsigned left, unsigned right) { return left > right ? left : right; }

namespace host {

struct Index {
    unsigned x, y, z;
};

// Bookkeeping of the fibers is no business of ThreadSanitizer's: what it shall see are the kernels' own reads and writes.
#define HOST_UNSEEN __attribute__((no_sanitize("thread")))

extern Index block, threads, blocks;
// Index of the thread that runs now.
Index thread_now();

void sync_block();
// Every lane gives a word and gets to see those of all.
const std::uint64_t* exchange(unsigned mask, std::uint64_t word);

template <typename T>
std::uint64_t to_word(T value) {
    static_assert(sizeof(T) <= sizeof(std::uint64_t));
    std::uint64_t word = 0;
    __builtin_memcpy(&word, &value, sizeof(T));
    return word;
}

template <typename T>
T from_word(std::uint64_t word) {
    T value;
    __builtin_memcpy(&value, &word, sizeof(T));
    return value;
}

}  // namespace host

#define threadIdx host::thread_now()
#define blockIdx host::block
#define blockDim host::threads
#define gridDim host::blocks

inline void __syncthreads() { host::sync_block(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { host::exchange(mask, 0); }
inline int __ffs(unsigned bits) { return __builtin_ffs((int)bits); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

inline unsigned __ballot_sync(unsigned mask, bool vote) {
    const std::uint64_t* words = host::exchange(mask, vote);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; lane++) votes |= (unsigned)(words[lane] & 1) << lane;
    return votes & mask;
}

inline unsigned __match_any_sync(unsigned mask, unsigned value) {
    const std::uint64_t* words = host::exchange(mask, value);
    unsigned alike = 0;
    for (unsigned lane = 0; lane < 32; lane++) alike |= (unsigned)(words[lane] == value) << lane;
    return alike & mask;
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, unsigned apart) {
    return host::from_word<T>(host::exchange(mask, host::to_word(value))[(host::thread_now().x % 32) ^ apart]);
}

template <typename T>
T __shfl_sync(unsigned mask, T value, unsigned lane) {
    return host::from_word<T>(host::exchange(mask, host::to_word(value))[lane]);
}

template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned apart) {
    unsigned lane = host::thread_now().x % 32;
    const std::uint64_t* words = host::exchange(mask, host::to_word(value));
    return lane < apart ? value : host::from_word<T>(words[lane - apart]);
}

inline unsigned __float_as_uint(float value) {
    unsigned word;
    __builtin_memcpy(&word, &value, sizeof word);
    return word;
}

inline unsigned atomicMax(unsigned* word, unsigned value) {
    unsigned before = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (before < value && !__atomic_compare_exchange_n(word, &before, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return before;
}

inline unsigned atomicAdd(unsigned* word, unsigned value) { return __atomic_fetch_add(word, value, __ATOMIC_RELAXED); }
