/* Frames into one interface, and what of them comes out of another.
 *
 *   traffic rate  IN OUT FRAMES PPS SECONDS        paced (PPS 0: as fast as it goes), counted at OUT
 *   traffic rtt   IN OUT FRAMES BACK COUNT SECONDS one frame at a time there and back
 *   traffic first IN OUT FRAMES SECONDS            1000 frames/s until the first comes out
 *   traffic check IN OUT FRAMES PPS SECONDS        as rate, but reads every frame and counts by the source MAC's last byte
 *
 * FRAMES, BACK: files of frames, each a 16-bit little-endian length and its bytes, sent in turn.
 * Prints one line of JSON. Exit code 1 with a line on stderr if a socket or file cannot be had. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define GSO_UDP_L4 5 /* VIRTIO_NET_HDR_GSO_UDP_L4, of Linux 6.2 */

enum { BATCH = 64, UDP_AT = ETH_HLEN + 20, HEADERS = UDP_AT + 8, SETTLE_MS = 150, LATE_NS = 2000000 };

static void fail(const char *what) {
    fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns) {
    struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* `protocol` 0: a socket that only sends. */
static int open_socket(const char *name, int protocol, int buffer) {
    unsigned index = if_nametoindex(name);
    if (!index) fail(name);
    int fd = socket(AF_PACKET, SOCK_RAW, 0), one = 1;
    if (fd < 0) fail("packet socket");
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol), .sll_ifindex = (int)index};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(name);
    return fd;
}

struct frames {
    uint32_t count, next;
    struct iovec *frame;
};

static struct frames read_frames(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    struct frames frames = {0};
    uint8_t head[2];
    while (fread(head, 2, 1, file) == 1) {
        size_t size = head[0] | (size_t)head[1] << 8;
        frames.frame = realloc(frames.frame, (frames.count + 1) * sizeof *frames.frame);
        uint8_t *bytes = malloc(size + 1);
        if (!frames.frame || !bytes || fread(bytes, size, 1, file) != 1) fail(path);
        frames.frame[frames.count++] = (struct iovec){bytes, size};
    }
    fclose(file);
    if (!frames.count) fail(path);
    return frames;
}

/* One frame many times over as a single datagram that the kernel cuts up before the interface (UDP GSO): the same
 * frames, but for a checksum, at less than half the cost of a message each. So the device is the limit and not this. */
struct train {
    int fd;
    unsigned longest; /* frames; 0: not to be had */
    struct virtio_net_hdr head;
    uint8_t bytes[65535 + ETH_HLEN];
};

static void put2(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void open_train(struct train *train, const char *name, const struct frames *frames) {
    const uint8_t *frame = frames->frame->iov_base;
    size_t payload = frames->frame->iov_len - HEADERS;
    bool udp = frames->frame->iov_len > HEADERS && frame[12] == 8 && frame[13] == 0 && frame[14] == 0x45 &&
               frame[23] == IPPROTO_UDP;
    int one = 1;
    if (frames->count != 1 || !udp) return;
    train->fd = open_socket(name, 0, 0);
    if (setsockopt(train->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0) return;
    train->longest = (unsigned)((65535 - (HEADERS - ETH_HLEN)) / payload);
    if (train->longest > BATCH) train->longest = BATCH;
    train->head = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                          .gso_type = GSO_UDP_L4,
                                          .hdr_len = HEADERS,
                                          .gso_size = (uint16_t)payload,
                                          .csum_start = UDP_AT,
                                          .csum_offset = 6};
    memcpy(train->bytes, frame, HEADERS);
    for (unsigned i = 0; i < train->longest; i++)
        memcpy(train->bytes + HEADERS + i * payload, frame + HEADERS, payload);
}

/* Sends `count` frames, 2 to the longest; how many were taken. A kernel that does not know how (before Linux 6.2) is
 * not asked again. */
static int send_train(struct train *train, unsigned count) {
    uint8_t *ip = train->bytes + ETH_HLEN, *udp = train->bytes + UDP_AT;
    unsigned size = 8 + count * train->head.gso_size;
    put2(ip + 2, 20 + size);
    put2(udp + 4, size);
    uint32_t sum = IPPROTO_UDP + size; /* of the pseudo header; the kernel goes on from here */
    for (int i = 12; i < 20; i += 2) sum += (uint32_t)ip[i] << 8 | ip[i + 1];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    put2(udp + 6, sum);
    struct iovec parts[] = {{&train->head, sizeof train->head}, {train->bytes, UDP_AT + size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (sendmsg(train->fd, &message, 0) > 0) return (int)count;
    if (errno == EINVAL) train->longest = 0;
    return 0;
}

/* How many of the next `count` (<= BATCH) frames were taken. */
static int send_burst(int fd, struct frames *frames, unsigned count) {
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    uint32_t at = frames->next;
    for (unsigned i = 0; i < count; i++) {
        messages[i].msg_hdr.msg_iov = &frames->frame[at];
        messages[i].msg_hdr.msg_iovlen = 1;
        if (++at == frames->count) at = 0;
    }
    int sent = sendmmsg(fd, messages, count, 0);
    if (sent > 0) frames->next = (frames->next + (uint32_t)sent) % frames->count;
    return sent < 0 ? 0 : sent;
}

/* Different frames through a ring that the kernel shares with this process (TPACKET_V2): many by one call. */
struct ring {
    int fd;
    uint8_t *places;
    uint32_t next;
};

enum { UNKNOWN = 0x88b5 /* of local experiments */, PLACE = 2048, PLACES = 1024 };
enum { DATA_AT = TPACKET2_HDRLEN - sizeof(struct sockaddr_ll) };

static void open_ring(struct ring *ring, const char *name) {
    int version = TPACKET_V2, one = 1;
    struct tpacket_req request = {PLACE * PLACES / 16, 16, PLACE, PLACES};
    /* No queueing discipline, and a protocol that the kernel need not dissect: what comes out is the same frame. */
    ring->fd = open_socket(name, UNKNOWN, 0);
    setsockopt(ring->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(ring->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version);
    setsockopt(ring->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one); /* to say how much the kernel copies: all */
    if (setsockopt(ring->fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof request) < 0) fail("ring");
    ring->places = mmap(NULL, PLACE * PLACES, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
    if (ring->places == MAP_FAILED) fail("ring");
}

/* As send_burst; also PLACES at most. Every frame has left when the kernel is done, but for those not taken. */
static int send_through(struct ring *ring, struct frames *frames, unsigned count) {
    uint32_t first = ring->next;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *place = ring->places + (first + i) % PLACES * PLACE;
        struct tpacket2_hdr *head = (void *)place;
        if (__atomic_load_n(&head->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE) {
            count = i;
            break;
        }
        const struct iovec *frame = &frames->frame[(frames->next + i) % frames->count];
        struct virtio_net_hdr whole = {.hdr_len = (uint16_t)frame->iov_len};
        memcpy(place + DATA_AT, &whole, sizeof whole);
        memcpy(place + DATA_AT + sizeof whole, frame->iov_base, frame->iov_len);
        head->tp_len = (uint32_t)(frame->iov_len + sizeof whole);
        __atomic_store_n(&head->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
    }
    send(ring->fd, NULL, 0, MSG_DONTWAIT);
    unsigned taken = 0;
    for (unsigned i = 0; i < count; i++) {
        struct tpacket2_hdr *head = (void *)(ring->places + (first + i) % PLACES * PLACE);
        uint32_t status = __atomic_load_n(&head->tp_status, __ATOMIC_ACQUIRE);
        if (taken == i && !(status & (TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT))) taken++;
        else __atomic_store_n(&head->tp_status, TP_STATUS_AVAILABLE, __ATOMIC_RELEASE);
    }
    ring->next = (first + taken) % PLACES;
    frames->next = (frames->next + taken) % frames->count;
    return (int)taken;
}

/* Frames that ever came to an interface, by its own count: a socket's work on each would be done by the core of the
 * device under test, which hands them over. */
static uint64_t arrived_at(const char *name) {
    FILE *file = fopen("/proc/net/dev", "r");
    if (!file) fail("/proc/net/dev");
    char line[512];
    unsigned long long packets = 0;
    bool found = false;
    size_t length = strlen(name);
    while (!found && fgets(line, sizeof line, file)) {
        const char *at = line + strspn(line, " ");
        found = !strncmp(at, name, length) && sscanf(at + length, ": %*u %llu", &packets) == 1;
    }
    fclose(file);
    if (!found) {
        errno = ENODEV;
        fail(name);
    }
    return packets;
}

/* Every frame read and counted by the last byte of its source MAC; the kernel's drops tell what was missed. */
struct reader {
    int fd;
    atomic_bool stop;
    uint64_t total, by_tag[256];
};

static void *read_all(void *argument) {
    struct reader *reader = argument;
    static uint8_t heads[BATCH][16];
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){heads[i], sizeof heads[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    while (!atomic_load(&reader->stop)) {
        struct pollfd ready = {.fd = reader->fd, .events = POLLIN};
        if (poll(&ready, 1, 20) <= 0) continue;
        int n = recvmmsg(reader->fd, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) reader->by_tag[heads[i][11]]++;
        if (n > 0) reader->total += (uint64_t)n;
    }
    return NULL;
}

/* The generator stays on one core, busy all the time, so that the device's threads are not put there in turn. */
static void stay_on_one_core(void) {
    cpu_set_t allowed, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) return;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &allowed)) {
            CPU_SET(core, &one);
            break;
        }
    sched_setaffinity(0, sizeof one, &one);
}

static void rate(char **a, bool check) {
    struct frames frames = read_frames(a[2]);
    double pps = atof(a[3]), seconds = atof(a[4]);
    int in = open_socket(a[0], 0, 0);
    struct reader reader = {.fd = -1};
    pthread_t thread;
    if (check) {
        reader.fd = open_socket(a[1], ETH_P_IP, 16 << 20);
        pthread_create(&thread, NULL, read_all, &reader);
    }
    stay_on_one_core();

    static struct train train;
    struct ring ring = {0};
    if (!check) open_train(&train, a[0], &frames);
    if (!check && !train.longest) open_ring(&ring, a[0]);
    unsigned burst = pps == 0 || pps > BATCH * 5000 ? BATCH : (unsigned)(pps / 5000) + 1;
    if (train.longest > 1 && burst > train.longest) burst = train.longest;
    uint64_t gap = pps == 0 ? 0 : (uint64_t)(1e9 * burst / pps);
    uint64_t before = arrived_at(a[1]), sent = 0, received = 0, warm = 0, warm_at = 0, start = now_ns(), due = start;
    uint64_t end = start + (uint64_t)(seconds * 1e9), now = start;
    while (now < end) {
        if (burst > 1 && train.longest > 1) sent += (uint64_t)send_train(&train, burst);
        else if (ring.places) sent += (uint64_t)send_through(&ring, &frames, burst);
        else sent += (uint64_t)send_burst(in, &frames, burst);
        now = now_ns();
        if (!warm_at && now - start > (end - start) / 4) {
            warm_at = now;
            warm = arrived_at(a[1]) - before;
        }
        if (!gap) continue;
        due += gap;
        if (now > due + LATE_NS) due = now; /* the machine was busy elsewhere; no burst to catch up */
        if (due > now + 60000) sleep_until(due);
        while (now < due) now = now_ns();
    }
    uint64_t stopped = now_ns(), drops = 0;
    double steady = (double)(arrived_at(a[1]) - before - warm) / (double)(stopped - warm_at) * 1e9;
    for (uint64_t quiet = now_ns(); now_ns() - quiet < SETTLE_MS * 1000000ull;) {
        usleep(5000);
        uint64_t now_received = check ? reader.total : arrived_at(a[1]) - before;
        if (now_received != received) quiet = now_ns();
        received = now_received;
    }
    if (check) {
        struct tpacket_stats statistics = {0};
        socklen_t size = sizeof statistics;
        getsockopt(reader.fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size);
        drops = statistics.tp_drops;
        atomic_store(&reader.stop, true);
        pthread_join(thread, NULL);
        received = reader.total;
    }
    printf("{\"sent\": %llu, \"received\": %llu, \"seconds\": %.6f, \"steady_pps\": %.1f, \"reader_drops\": %llu",
           (unsigned long long)sent, (unsigned long long)received, (double)(stopped - start) / 1e9, steady,
           (unsigned long long)drops);
    if (check) {
        const char *comma = "";
        printf(", \"tags\": {");
        for (int i = 0; i < 256; i++)
            if (reader.by_tag[i]) {
                printf("%s\"%d\": %llu", comma, i, (unsigned long long)reader.by_tag[i]);
                comma = ", ";
            }
        printf("}");
    }
    printf("}\n");
}

static bool wait_frame(int fd) {
    uint8_t frame[2048];
    return recv(fd, frame, sizeof frame, 0) > 0;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void rtt(char **a) {
    struct frames there = read_frames(a[2]), back = read_frames(a[3]);
    unsigned count = (unsigned)atoi(a[4]), done = 0, lost = 0;
    uint64_t end = now_ns() + (uint64_t)(atof(a[5]) * 1e9), *times = calloc(count + 1, sizeof *times);
    int in = open_socket(a[0], ETH_P_IP, 1 << 20), out = open_socket(a[1], ETH_P_IP, 1 << 20);
    struct timeval patience = {0, 200000};
    setsockopt(in, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(out, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (unsigned i = 0; i < count + 20 && now_ns() < end; i++) {
        uint64_t start = now_ns();
        send_burst(in, &there, 1);
        bool arrived = wait_frame(out);
        if (arrived) send_burst(out, &back, 1);
        if (arrived && wait_frame(in)) {
            if (i >= 20) times[done++] = now_ns() - start;
        } else {
            lost++;
        }
        usleep(100);
    }
    qsort(times, done, sizeof *times, compare);
    printf("{\"count\": %u, \"lost\": %u, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", done, lost,
           done ? (double)times[done / 2] / 1e3 : -1, done ? (double)times[done * 99 / 100] / 1e3 : -1);
}

static void first(char **a) {
    struct frames frames = read_frames(a[2]);
    int in = open_socket(a[0], 0, 0), out = open_socket(a[1], ETH_P_IP, 1 << 20);
    uint64_t end = now_ns() + (uint64_t)(atof(a[3]) * 1e9);
    while (now_ns() < end) {
        send_burst(in, &frames, 1);
        struct pollfd ready = {.fd = out, .events = POLLIN};
        if (poll(&ready, 1, 1) > 0) {
            printf("{\"first_ns\": %llu}\n", (unsigned long long)now_ns());
            return;
        }
    }
    printf("{\"first_ns\": 0}\n");
}

int main(int argc, char **argv) {
    prctl(PR_SET_TIMERSLACK, 1);
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "rate") && argc == 7) rate(argv + 2, false);
    else if (!strcmp(what, "check") && argc == 7) rate(argv + 2, true);
    else if (!strcmp(what, "rtt") && argc == 8) rtt(argv + 2);
    else if (!strcmp(what, "first") && argc == 6) first(argv + 2);
    else {
        fprintf(stderr, "traffic: see the head of traffic.c\n");
        return 2;
    }
    return 0;
}
