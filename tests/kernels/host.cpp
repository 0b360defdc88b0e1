// The kernels as a C++20 library: the same .cu files, run without a GPU.
//
// A launch runs its blocks one after the other. Every thread of a block is a fiber with a stack of its own; one runs until
// it waits at a barrier or for the other lanes of its warp, then the next one does. So shared memory, barriers, warp votes
// and shuffles mean what they mean on a device. What differs: precision of reciprocals and roots, and that blocks never
// overlap; `host_reverse` runs blocks and threads backwards, and whatever depends on their order gives other bytes then.
//
// A barrier that not every thread reaches, which would hang a device or worse, ends the process with a message. Under
// AddressSanitizer and ThreadSanitizer the fibers are known to them; for the latter, the threads of a block are threads.

#define SWARMCAST_HOST
#include "../../kernels/centre.cu"
#include "../../kernels/edit.cu"
#include "../../kernels/frame.cu"
#include "../../kernels/gate.cu"
#include "../../kernels/keys.cu"
#include "../../kernels/move.cu"
#include "../../kernels/pack.cu"
#include "../../kernels/part.cu"
#include "../../kernels/refit.cu"
#include "../../kernels/repulse_exact.cu"
#include "../../kernels/repulse_tree.cu"
#include "../../kernels/sample.cu"
#include "../../kernels/sort.cu"
#include "../../kernels/springs.cu"
#include "../../kernels/tree.cu"
#include "../../kernels/warmth.cu"

#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace host {

Index block, threads, blocks;

namespace {

typedef void (*Kernel)(World);

// Waits until all of them have come; counts the times they did.
struct Barrier {
    unsigned arrived = 0;
    std::uint64_t generation = 0;
};

struct Warp {
    Barrier barrier;
    // Two, as a lane may give its next word before all have read the last one.
    std::uint64_t words[2][32] = {};
};

struct Fiber {
    ucontext_t context;
    jmp_buf jump;
    std::vector<char> stack;
    bool started = false, done = true;
    // Ready once this differs from `seen`.
    const std::uint64_t* waits_on = nullptr;
    std::uint64_t seen = 0;
    void* sanitizer = nullptr;
};

constexpr std::size_t kStackBytes = 256 * 1024;

std::vector<Fiber> fibers;
std::vector<Warp> warps;
Barrier block_barrier;
Fiber* running = nullptr;
Index thread;
unsigned live = 0;
Kernel kernel = nullptr;
const World* argument = nullptr;
const char* kernel_name = "";
bool reverse = false;
ucontext_t main_context;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
jmp_buf main_jump;
#endif
#if defined(__SANITIZE_ADDRESS__)
const void* main_stack = nullptr;
std::size_t main_stack_bytes = 0;
#endif
#if defined(__SANITIZE_THREAD__)
void* main_fiber = nullptr;
#endif

[[noreturn]] HOST_UNSEEN void fail(const char* why) {
    std::fprintf(stderr, "kernels on the host: %s: %s (block %u, %u)\n", kernel_name, why, block.x, block.y);
    std::abort();
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

HOST_UNSEEN void to_main() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&running->sanitizer, main_stack, main_stack_bytes);
#else
    __tsan_switch_to_fiber(main_fiber, __tsan_switch_to_fiber_no_sync);
#endif
    Fiber* own = running;
    swapcontext(&own->context, &main_context);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(own->sanitizer, &main_stack, &main_stack_bytes);
#endif
}

HOST_UNSEEN void to_fiber(Fiber& fiber) {
    fiber.started = true;
#if defined(__SANITIZE_ADDRESS__)
    void* own = nullptr;
    __sanitizer_start_switch_fiber(&own, fiber.stack.data(), fiber.stack.size());
#else
    __tsan_switch_to_fiber(fiber.sanitizer, __tsan_switch_to_fiber_no_sync);
#endif
    swapcontext(&main_context, &fiber.context);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(own, nullptr, nullptr);
#endif
}

#else

// Contexts save the signal mask, a system call each time; jumps between stacks that exist do not.
HOST_UNSEEN void to_main() {
    if (_setjmp(running->jump) == 0) _longjmp(main_jump, 1);
}

HOST_UNSEEN void to_fiber(Fiber& fiber) {
    if (_setjmp(main_jump) != 0) return;
    if (fiber.started) _longjmp(fiber.jump, 1);
    fiber.started = true;
    setcontext(&fiber.context);
}

#endif

// For ThreadSanitizer: what came before `release` on a place is before what comes after `acquire` on it.
void release(void* place) {
#if defined(__SANITIZE_THREAD__)
    __tsan_release(place);
#else
    (void)place;
#endif
}

void acquire(void* place) {
#if defined(__SANITIZE_THREAD__)
    __tsan_acquire(place);
#else
    (void)place;
#endif
}

HOST_UNSEEN void wait(Barrier& barrier, unsigned expected) {
    release(&barrier);
    std::uint64_t generation = barrier.generation;
    if (++barrier.arrived == expected) {
        barrier.arrived = 0;
        barrier.generation++;
    } else {
        running->waits_on = &barrier.generation;
        running->seen = generation;
        to_main();
    }
    acquire(&barrier);
}

HOST_UNSEEN void body() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &main_stack, &main_stack_bytes);
#endif
    for (;;) {
        acquire(&main_context);
        kernel(*argument);
        release(&main_context);
        running->done = true;
        to_main();
    }
}

void prepare(unsigned count) {
    while (fibers.size() < count) {
        fibers.emplace_back();
        fibers.back().stack.resize(kStackBytes);
    }
    for (Fiber& fiber : fibers) {
        if (fiber.started) continue;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        makecontext(&fiber.context, body, 0);
#if defined(__SANITIZE_THREAD__)
        if (fiber.sanitizer == nullptr) fiber.sanitizer = __tsan_create_fiber(0);
#endif
    }
    warps.resize((count + 31) / 32);
}

HOST_UNSEEN void run_block(unsigned count) {
    block_barrier = Barrier{};
    for (Warp& warp : warps) warp.barrier = Barrier{};
    for (unsigned index = 0; index < count; index++) {
        fibers[index].done = false;
        fibers[index].waits_on = nullptr;
    }
    release(&main_context);
    live = count;
    while (live > 0) {
        bool progress = false;
        for (unsigned turn = 0; turn < count; turn++) {
            unsigned index = reverse ? count - 1 - turn : turn;
            Fiber& fiber = fibers[index];
            if (fiber.done || (fiber.waits_on != nullptr && *fiber.waits_on == fiber.seen)) continue;
            fiber.waits_on = nullptr;
            thread = {index, 0, 0};
            running = &fiber;
            to_fiber(fiber);
            progress = true;
            if (fiber.done) {
                live--;
                if (block_barrier.arrived > 0) fail("a thread ended while others wait for it at a barrier");
            }
        }
        if (!progress) fail("not every thread that a barrier waits for gets there");
    }
    acquire(&main_context);
}

}  // namespace

HOST_UNSEEN Index thread_now() { return thread; }

HOST_UNSEEN void sync_block() {
    if (live != threads.x) fail("a thread waits at a barrier that another one, ended, never reached");
    Index own = thread;
    wait(block_barrier, threads.x);
    thread = own;
}

HOST_UNSEEN const std::uint64_t* exchange(unsigned mask, std::uint64_t word) {
    if (mask != 0xffffffffu) fail("only whole warps vote");
    Index own = thread;
    Warp& warp = warps[own.x / 32];
    std::uint64_t* words = warp.words[warp.barrier.generation % 2];
    words[own.x % 32] = word;
    wait(warp.barrier, 32);
    thread = own;
    return words;
}

}  // namespace host

extern "C" {

// Backwards from now on, or forwards again.
void host_reverse(int reverse) { host::reverse = reverse != 0; }

// Runs a kernel by name; 0 when there is one.
int host_launch(const char* name, unsigned blocks_x, unsigned blocks_y, unsigned threads, const World* world) {
    void* found = dlsym(RTLD_DEFAULT, name);
    if (found == nullptr) {
        Dl_info self;
        if (dladdr((void*)&host_launch, &self) != 0) {
            void* library = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
            found = library != nullptr ? dlsym(library, name) : nullptr;
        }
    }
    if (found == nullptr) return 1;
#if defined(__SANITIZE_THREAD__)
    host::main_fiber = __tsan_get_current_fiber();
#endif
    if (threads % 32 != 0) host::fail("blocks are whole warps");
    host::kernel = (host::Kernel)found;
    host::kernel_name = name;
    host::argument = world;
    host::threads = {threads, 1, 1};
    host::blocks = {blocks_x, blocks_y, 1};
    host::prepare(threads);
    unsigned count = blocks_x * blocks_y;
    for (unsigned turn = 0; turn < count; turn++) {
        unsigned index = host::reverse ? count - 1 - turn : turn;
        host::block = {index % blocks_x, index / blocks_x, 0};
        host::run_block(threads);
    }
    return 0;
}
}
