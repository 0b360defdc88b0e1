/* Prints the frame rate and where one node is, once a second. Plain sockets, no library.
 *
 *     cc -O2 -o watch watch.c && ./watch [HOST] [PORT] [INDEX]     (127.0.0.1, 7401 and node 0 when left out)
 *
 * Fields are copied out byte for byte, as they are on little-endian machines; a big-endian one swaps them first. */

#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    const char *host = argc > 1 ? argv[1] : "127.0.0.1", *port = argc > 2 ? argv[2] : "7401";
    size_t index = argc > 3 ? strtoul(argv[3], NULL, 10) : 0, capacity = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *address;
    if (getaddrinfo(host, port, &hints, &address) != 0) return fprintf(stderr, "no such host: %s\n", host), 1;
    int stream = socket(address->ai_family, address->ai_socktype, 0);
    if (connect(stream, address->ai_addr, address->ai_addrlen) != 0) return perror("connect"), 1;

    /* The hello: one line of JSON. From here on the server talks by itself. */
    const char hello[] = "{\"profile\":\"swarmcast.v1\",\"rate\":60}\n";
    if (send(stream, hello, sizeof hello - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof hello - 1)) return perror("send"), 1;

    FILE *in = fdopen(stream, "r"); /* fread gives whole records however the bytes arrive */
    unsigned char *body = NULL;
    unsigned count = 0;
    double since = now();
    uint32_t word;
    while (in != NULL && fread(&word, 4, 1, in) == 1) {
        size_t length = word & 0x7fffffffu; /* bit 31: a JSON text; the others: how many bytes follow */
        if (length > capacity && (body = realloc(body, capacity = length)) == NULL) return perror("realloc"), 1;
        if (length > 0 && fread(body, length, 1, in) != 1) break;
        if (word >> 31) {
            printf("%.*s\n", (int)length, (char *)body);
            fflush(stdout);
            continue;
        }
        /* 64 bytes of header, then 28 bytes a node: u32 id, f32 position x y z, f32 velocity x y z. */
        if (length < 64 || (length - 64) / 28 <= index) return fprintf(stderr, "there is no node %zu\n", index), 1;
        count += 1;
        double seconds = now() - since;
        if (seconds < 1) continue;
        uint64_t tick;
        uint32_t id;
        float at[3];
        memcpy(&tick, body + 32, sizeof tick);
        memcpy(&id, body + 64 + 28 * index, sizeof id);
        memcpy(at, body + 64 + 28 * index + 4, sizeof at);
        printf("%5.1f frames/s  tick %" PRIu64 "  node %" PRIu32 " at %8.2f %8.2f %8.2f\n", count / seconds, tick,
               id & 0x3ffffff, at[0], at[1], at[2]);
        fflush(stdout);
        count = 0;
        since = now();
    }
    puts("the server ended the stream");
    return 0;
}
