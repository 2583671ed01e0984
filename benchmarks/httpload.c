/* Closed-loop HTTP/1.1 load for one Linux machine: N connections, each with one request in flight.
 *
 *   httpload PORT CONNECTIONS WARMUP_SECONDS SECONDS REQUESTS_FILE
 *
 * REQUESTS_FILE holds whole requests, each behind its length (4 bytes, little endian); connections take
 * them in turn, round and round. A run of sixteen '@' in one becomes sixteen fresh hex digits each time
 * (for Idempotency-Key). Answers need a Content-Length. What is in flight at the end is waited for, so that
 * it doesn't burden the next measurement. The result is one JSON line; exit 1 when a connection broke.
 * Loopback only, one epoll thread, no pipelining.
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 16384, CHUNK = 1 << 18, EVENTS = 512, MARK = 16 };
#define PATIENCE_NS 10000000000ull

struct request { char *text; size_t length; char *mark; };
struct conn { int fd; uint64_t began; size_t head_used; size_t body_left; int in_body, status; char head[HEAD]; };

static struct request *requests;
static size_t request_count, next_request, in_flight;
static int stopping;
static uint64_t unique;
static uint32_t *micros;
static size_t answered, capacity;
static unsigned long failed, total_bytes;
static int first_failure;

static void die(const char *what) { perror(what); exit(1); }
static void stop(const char *what) { fprintf(stderr, "httpload: %s\n", what); exit(1); }

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static double own_cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    uint32_t length;
    if (!file) die(path);
    while (fread(&length, 4, 1, file) == 1) {
        struct request r = {malloc(length), length, NULL};
        if (!r.text || fread(r.text, 1, length, file) != length) stop("a request is cut short");
        r.mark = memmem(r.text, length, "@@@@@@@@@@@@@@@@", MARK);
        requests = realloc(requests, (request_count + 1) * sizeof *requests);
        requests[request_count++] = r;
    }
    fclose(file);
    if (!request_count) stop("no requests");
}

static void send_next(struct conn *c) {
    struct request *r = &requests[next_request++ % request_count];
    if (r->mark) {
        char digits[MARK + 1];
        snprintf(digits, sizeof digits, "%016llx", (unsigned long long)unique++);
        memcpy(r->mark, digits, MARK);
    }
    c->began = now_ns();
    in_flight++;
    if (send(c->fd, r->text, r->length, MSG_NOSIGNAL) != (ssize_t)r->length) die("send");
}

static void done(struct conn *c, int measuring) {
    if (measuring) {
        if (answered == capacity) {
            capacity = capacity ? capacity * 2 : 1 << 16;
            micros = realloc(micros, capacity * sizeof *micros);
            if (!micros) stop("out of memory");
        }
        if (c->status / 100 == 2) micros[answered++] = (now_ns() - c->began) / 1000;
        else { failed++; if (!first_failure) first_failure = c->status; }
    }
    c->head_used = c->in_body = 0;
    in_flight--;
    if (!stopping) send_next(c);
}

/* Without pipelining nothing follows an answer, so all that is read belongs to it. */
static void on_readable(struct conn *c, int measuring) {
    static char chunk[CHUNK];
    ssize_t n = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) stop("the server closed a connection");
    if (measuring) total_bytes += n;
    char *text = chunk;
    size_t left = n;
    if (!c->in_body) {
        size_t before = c->head_used, copied = left < HEAD - 1 - before ? left : HEAD - 1 - before;
        memcpy(c->head + before, text, copied);
        c->head[before + copied] = 0;
        char *end = memmem(c->head, before + copied, "\r\n\r\n", 4);
        if (!end) {
            if (before + copied >= HEAD - 1) stop("an answer's headers are too long");
            c->head_used = before + copied;
            return;
        }
        end[2] = 0;
        char *length = strcasestr(c->head, "\r\ncontent-length:");
        c->status = atoi(c->head + 9);
        if (!length && c->status != 204) stop("an answer has no Content-Length");
        c->body_left = length ? strtoul(length + 17, NULL, 10) : 0;
        c->in_body = 1;
        size_t used = end + 4 - c->head - before;
        text += used;
        left -= used;
    }
    if (left > c->body_left) stop("more bytes than the answer's Content-Length");
    c->body_left -= left;
    if (!c->body_left) done(c, measuring);
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double at(double quantile) {
    if (!answered) return 0;
    size_t place = quantile * answered;
    return micros[place < answered ? place : answered - 1] / 1000.0;
}

int main(int argc, char **argv) {
    if (argc != 6) return fputs("usage: httpload PORT CONNECTIONS WARMUP SECONDS FILE\n", stderr), 2;
    int count = atoi(argv[2]), events = epoll_create1(0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    read_requests(argv[5]);
    struct timespec seed;
    clock_gettime(CLOCK_REALTIME, &seed);
    unique = (seed.tv_sec * 1000000000ull + seed.tv_nsec) << 4;
    struct conn *conns = calloc(count, sizeof *conns);
    for (int i = 0; i < count; i++) {
        conns[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(conns[i].fd, (void *)&address, sizeof address)) die("connect");
        setsockopt(conns[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(events, EPOLL_CTL_ADD, conns[i].fd, &(struct epoll_event){EPOLLIN, {.ptr = &conns[i]}});
    }
    uint64_t begin = now_ns() + (uint64_t)(atof(argv[3]) * 1e9), end = begin + (uint64_t)(atof(argv[4]) * 1e9);
    double cpu = own_cpu();
    for (int i = 0; i < count; i++) send_next(&conns[i]);
    double own = 0;
    for (uint64_t now = now_ns(); in_flight; now = now_ns()) {
        struct epoll_event ready[EVENTS];
        if (now >= end && !stopping) { stopping = 1; own = own_cpu() - cpu; }
        if (now >= end + PATIENCE_NS) stop("requests were left unanswered");
        int n = epoll_wait(events, ready, EVENTS, 100);
        for (int i = 0; i < n; i++) on_readable(ready[i].data.ptr, now >= begin && !stopping);
    }
    double seconds = atof(argv[4]);
    qsort(micros, answered, sizeof *micros, ascending);
    printf("{\"answered\":%zu,\"per_second\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,"
           "\"failed\":%lu,\"first_failure\":%d,\"mb_per_s\":%.2f,\"own_cpu\":%.3f}\n",
           answered, answered / seconds, at(0.5), at(0.99), at(1), failed, first_failure,
           total_bytes / seconds / 1e6, own / (seconds + atof(argv[3])));
}
