/* Sends the same bytes to many sockets without leaving C; fan.py builds, loads and describes it. */
#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#ifndef MSG_NOSIGNAL /* macOS; Python ignores SIGPIPE anyway */
#define MSG_NOSIGNAL 0
#endif

enum { GONE = -2, SENDS_PER_LOOK_AT_THE_CLOCK = 8 };

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Returns the place to go on from; `count` when done. Who got less than everything is written to
 * `places` and `sent` (room for `count` each), and their number to `shorts`. */
int serai_fan(const int *fds, int from, int count, const char *data, int size, int64_t deadline_ns,
              int *places, int *sent, int *shorts) {
    int found = 0, sends = 0, place = from;
    while (place < count) {
        int fd = fds[place];
        ssize_t taken = -1;
        if (fd >= 0) {
            do
                taken = send(fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
            while (taken < 0 && errno == EINTR);
            if (taken < 0) taken = 0; /* full, or broken: its transport finds out which */
        }
        if (taken != size && fd != GONE) {
            places[found] = place;
            sent[found++] = (int)taken;
        }
        place++;
        if (++sends % SENDS_PER_LOOK_AT_THE_CLOCK == 0 && now_ns() >= deadline_ns) break;
    }
    *shorts = found;
    return place;
}
