/* The floor of bars 1 and 2: one process that send()s messages to every WebSocket, and does nothing else.
 *
 *   sendloop PORT RATE BYTES [BURST]   listens on 127.0.0.1, prints "ready"; RATE times a second it sends
 *                                      BURST messages (1) to each socket, with one send()
 *
 * A message is a text frame of BYTES bytes that carries "sent_ns". The handshake accepts the sample key of
 * RFC 6455 (section 1.3), which wsload sends. A socket that can't take a whole message ends the run: then
 * the figure would not be that of complete deliveries.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 65536, MAX_BYTES = 60000, MAX_BURST = 64, EVENTS = 256 };
static const char ACCEPTED[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static int open_fds[MAX_FDS], place_of[MAX_FDS], open_count;

static void die(const char *what) { perror(what); exit(1); }

static void drop(int fd) {
    int place = place_of[fd];
    if (place >= 0) {
        open_fds[place] = open_fds[--open_count];
        place_of[open_fds[place]] = place;
        place_of[fd] = -1;
    }
    close(fd);
}

static long write_frame(char *frame, long bytes) {
    static unsigned long number;
    struct timespec now;
    int head = 2;
    frame[0] = (char)0x81;
    if (bytes < 126) frame[1] = (char)bytes;
    else { frame[1] = 126; frame[2] = (char)(bytes >> 8); frame[3] = (char)bytes; head = 4; }
    clock_gettime(CLOCK_REALTIME, &now);
    int used = sprintf(frame + head, "{\"sent_ns\":%lld,\"n\":%lu,\"text\":\"",
                       now.tv_sec * 1000000000ll + now.tv_nsec, ++number);
    memset(frame + head + used, 'x', bytes - used - 2);
    memcpy(frame + head + bytes - 2, "\"}", 2);
    return head + bytes;
}

static void send_all(long bytes, long burst) {
    static char frames[MAX_BURST * (MAX_BYTES + 4)];
    long size = 0;
    for (long i = 0; i < burst; i++) size += write_frame(frames + size, bytes);
    for (int i = 0; i < open_count; i++) {
        errno = 0;
        if (send(open_fds[i], frames, size, MSG_DONTWAIT | MSG_NOSIGNAL) != size &&
            errno != EPIPE && errno != ECONNRESET)
            die("a socket took less than a whole message");
    }
}

static void on_readable(int fd) {
    char text[4096];
    ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) drop(fd);
    else if (n > 0 && place_of[fd] < 0) { /* the handshake, small enough for one segment */
        if (send(fd, ACCEPTED, sizeof ACCEPTED - 1, MSG_NOSIGNAL) < 0) { drop(fd); return; }
        place_of[fd] = open_count;
        open_fds[open_count++] = fd;
    }
}

int main(int argc, char **argv) {
    long burst = argc == 5 ? atol(argv[4]) : 1;
    if (argc < 4 || argc > 5 || atol(argv[3]) < 64 || atol(argv[3]) > MAX_BYTES || atof(argv[2]) <= 0 ||
        burst < 1 || burst > MAX_BURST)
        return fputs("usage: sendloop PORT RATE BYTES(64..60000) [BURST(1..64)]\n", stderr), 2;
    long bytes = atol(argv[3]);
    memset(place_of, -1, sizeof place_of);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), events = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 1024)) die("listen");
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    long period = 1e9 / atof(argv[2]);
    struct timespec every = {period / 1000000000, period % 1000000000};
    timerfd_settime(timer, 0, &(struct itimerspec){every, every}, NULL);
    epoll_ctl(events, EPOLL_CTL_ADD, listener, &(struct epoll_event){EPOLLIN, {.fd = listener}});
    epoll_ctl(events, EPOLL_CTL_ADD, timer, &(struct epoll_event){EPOLLIN, {.fd = timer}});
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event ready[EVENTS];
        int n = epoll_wait(events, ready, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            uint64_t due;
            if (fd == timer) {
                if (read(timer, &due, sizeof due) == sizeof due)
                    while (due--) send_all(bytes, burst);
            } else if (fd == listener) {
                int new_fd = accept(listener, NULL, NULL);
                if (new_fd < 0 || new_fd >= MAX_FDS) die("accept");
                setsockopt(new_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                epoll_ctl(events, EPOLL_CTL_ADD, new_fd, &(struct epoll_event){EPOLLIN, {.fd = new_fd}});
            } else on_readable(fd);
        }
    }
}
