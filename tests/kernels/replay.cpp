// Does again what a test of the backend did to its device, under a sanitizer: replay TRACE.
//
// The trace is what `sim/cuda/host.rs` wrote down: a letter, an address, a length and bytes for each call. Memory is
// allocated anew, array by array, so that whatever leaves one is seen; what is read must be what was read then.

#define SWARMCAST_HOST
#include "../../kernels/layout.cuh"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

extern "C" int host_launch(const char* name, unsigned blocks_x, unsigned blocks_y, unsigned threads, const World* world);
extern "C" void host_reverse(int reverse);

static std::vector<unsigned char> trace;
static std::size_t at = 0;

template <typename T>
static T take() {
    T value;
    std::memcpy(&value, &trace.at(at + sizeof(T) - 1) - (sizeof(T) - 1), sizeof(T));
    at += sizeof(T);
    return value;
}

static int fail(const char* why) {
    std::fprintf(stderr, "replay: %s at byte %zu of the trace\n", why, at);
    return 1;
}

int main(int count, char** words) {
    if (count != 2) return fail("give the file of a trace");
    std::FILE* file = std::fopen(words[1], "rb");
    if (file == nullptr) return fail("no such file");
    for (int byte; (byte = std::fgetc(file)) != EOF;) trace.push_back((unsigned char)byte);
    std::fclose(file);
    // By the address it had then.
    std::map<std::uint64_t, unsigned char*> memory;
    unsigned launches = 0;
    while (at < trace.size()) {
        char what = take<char>();
        std::uint64_t address = take<std::uint64_t>(), length = take<std::uint64_t>();
        if (what == 'A') {
            unsigned char* made = (unsigned char*)std::aligned_alloc(16, (length + 15) / 16 * 16);
            std::memset(made, 0xff, length);
            memory[address] = made;
        } else if (what == 'F') {
            std::free(memory.at(address));
            memory.erase(address);
        } else if (what == 'W') {
            if (length > 0) std::memcpy(memory.at(address), &trace.at(at), length);
            at += length;
        } else if (what == 'R') {
            if (std::memcmp(memory.at(address), &trace.at(at), length) != 0) return fail("other bytes than then");
            at += length;
        } else if (what == 'L') {
            unsigned name_length = take<unsigned>(), x = take<unsigned>(), y = take<unsigned>(), threads = take<unsigned>();
            std::string name((const char*)&trace.at(at), name_length);
            at += name_length;
            World world = take<World>();
            // The struct begins with its addresses.
            std::uint64_t addresses[offsetof(World, node_count) / 8];
            std::memcpy(addresses, &world, sizeof addresses);
            for (std::uint64_t& one : addresses) one = one == 0 ? 0 : (std::uint64_t)memory.at(one);
            std::memcpy(&world, addresses, sizeof addresses);
            host_reverse((int)address);
            if (host_launch(name.c_str(), x, y, threads, &world) != 0) return fail("no such kernel");
            launches++;
        } else {
            return fail("not a trace");
        }
    }
    if (!memory.empty()) return fail("memory was not given back");
    std::printf("%u launches\n", launches);
    return 0;
}
