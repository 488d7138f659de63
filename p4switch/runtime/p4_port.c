#define _GNU_SOURCE
#include "p4_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "p4_switch.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum {
    RING_BLOCK = 1 << 16, /* bytes that the kernel allocates in one piece */
    SOCKET_BUFFER = 4 << 20,
    FRAME_AT = 80, /* bytes of a place before a frame, at most, both ways */
};

/* How a port's rings are divided. The interface's MTU decides as the port is opened: a large place for each small frame
 * would cost memory that most interfaces have no use for. A frame that is longer than its place still comes and goes,
 * by calls of its own. */
enum {
    SMALL_PLACE = 1728, /* bytes for a frame: an odd number of cache lines, so that all sets are used */
    SMALL_PER_BLOCK = RING_BLOCK / SMALL_PLACE,
    SMALL_IN_BLOCKS = 56,
    SMALL_OUT_BLOCKS = 8, /* few, so that they stay in the cache */
    LARGE_PLACE = 9344,   /* room for an MTU of 9216 */
    LARGE_PER_BLOCK = RING_BLOCK / LARGE_PLACE,
    LARGE_IN_BLOCKS = 96,
    LARGE_OUT_BLOCKS = 16,
};

/* A place of the ring for frames that leave. The header of offloads asks for none, and has the kernel copy the whole
 * frame at once: else it would send all but the first bytes from here, and copy them for a receiver on this machine
 * one by one. */
struct out_place {
    struct tpacket2_hdr head;
    struct virtio_net_hdr offloads;
    uint8_t frame[];
} __attribute__((packed, aligned(TPACKET_ALIGNMENT)));

_Static_assert(sizeof(struct out_place) <= FRAME_AT, "what is before a frame that leaves");
_Static_assert(sizeof(struct tpacket2_hdr) == TPACKET2_HDRLEN - sizeof(struct sockaddr_ll), "where the kernel reads");

static uint32_t in_blocks(const struct p4_port *port) { return port->large ? LARGE_IN_BLOCKS : SMALL_IN_BLOCKS; }
static uint32_t out_blocks(const struct p4_port *port) { return port->large ? LARGE_OUT_BLOCKS : SMALL_OUT_BLOCKS; }
static uint32_t per_block(const struct p4_port *port) { return port->large ? LARGE_PER_BLOCK : SMALL_PER_BLOCK; }
static uint32_t place_size(const struct p4_port *port) { return port->large ? LARGE_PLACE : SMALL_PLACE; }

/* Two divisions by constants are faster than one by a variable. */
static uint8_t *place(const struct p4_port *port, uint8_t *ring, uint32_t index) {
    if (__builtin_expect(port->large, false))
        return ring + (size_t)(index / LARGE_PER_BLOCK) * RING_BLOCK + (size_t)(index % LARGE_PER_BLOCK) * LARGE_PLACE;
    return ring + (size_t)(index / SMALL_PER_BLOCK) * RING_BLOCK + (size_t)(index % SMALL_PER_BLOCK) * SMALL_PLACE;
}

static uint32_t after(uint32_t index, uint32_t places) { return index + 1 == places ? 0 : index + 1; }

/* Opening ------------------------------------------------------------------------------------------ */

static void set_option(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

/* Protocol 0 until bound: else frames of every interface would come in before. */
static int open_socket(void) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fd;
    set_option(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
    set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER);
    set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
    return fd;
}

/* NULL: errno says why not. */
static uint8_t *map_ring(const struct p4_port *port, int fd, int option, unsigned blocks) {
    struct tpacket_req ring = {RING_BLOCK, blocks, place_size(port), per_block(port) * blocks};
    if (setsockopt(fd, SOL_PACKET, option, &ring, sizeof ring) < 0) return NULL;
    void *mapped = mmap(NULL, (size_t)RING_BLOCK * blocks, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

static bool attach(int fd, unsigned interface, int protocol) {
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons((uint16_t)protocol),
                                  .sll_ifindex = (int)interface};
    return bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

/* Bytes of the interface's longest frame, without a tag; 0: it does not tell. */
static uint32_t longest_frame(const struct p4_port *port, int fd) {
    struct ifreq request = {0};
    memcpy(request.ifr_name, port->name, sizeof port->name);
    return ioctl(fd, SIOCGIFMTU, &request) == 0 ? (uint32_t)request.ifr_mtu + ETH_HLEN : 0;
}

/* What is longer than the interface's MTU goes by the other socket, which asks more closely. */
static void learn_mtu(struct p4_port *port) {
    uint32_t longest = longest_frame(port, port->in), most = place_size(port) - (uint32_t)sizeof(struct out_place);
    port->longest = longest < most ? longest : most;
}

static bool open_in(struct p4_port *port, unsigned interface) {
    int fd = port->in = open_socket();
    if (fd < 0) return false;
    port->large = longest_frame(port, fd) + FRAME_AT > SMALL_PLACE;
    port->in_places = per_block(port) * in_blocks(port);
    port->out_places = per_block(port) * out_blocks(port);
    set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    set_option(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
    set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER);
    set_option(fd, SOL_PACKET, PACKET_COPY_THRESH, 1); /* any: what is too long for its place also waits whole */
    struct packet_mreq promiscuous = {.mr_ifindex = (int)interface, .mr_type = PACKET_MR_PROMISC};
    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous);
    port->next_in = 0;
    port->in_ring = map_ring(port, fd, PACKET_RX_RING, in_blocks(port));
    return port->in_ring && attach(fd, interface, ETH_P_ALL);
}

static bool open_out(struct p4_port *port, unsigned interface) {
    int fd = port->out = open_socket();
    if (fd < 0) return false;
    set_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
    port->next_out = port->pending = port->pending_bytes = 0;
    port->out_ring = map_ring(port, fd, PACKET_TX_RING, out_blocks(port));
    return port->out_ring && attach(fd, interface, 0);
}

void p4_port_close(struct p4_port *port) {
    if (port->in_ring) munmap(port->in_ring, (size_t)RING_BLOCK * in_blocks(port));
    if (port->out_ring) munmap(port->out_ring, (size_t)RING_BLOCK * out_blocks(port));
    if (port->in >= 0) close(port->in);
    if (port->out >= 0) close(port->out);
    port->in_ring = port->out_ring = NULL;
    port->in = port->out = -1;
}

bool p4_port_open(struct p4_port *port) {
    unsigned interface = if_nametoindex(port->name);
    port->in = port->out = -1;
    if (!interface) return false;
    if (open_in(port, interface) && open_out(port, interface)) {
        learn_mtu(port);
        return true;
    }
    int error = errno;
    p4_port_close(port);
    errno = error;
    return false;
}

/* Frames that found the ring full; the kernel counts from one question to the next. */
static void count_drops(struct p4_port *port) {
    struct tpacket_stats since = {0};
    socklen_t size = sizeof since;
    if (getsockopt(port->in, SOL_PACKET, PACKET_STATISTICS, &since, &size) == 0) port->rx_drops += since.tp_drops;
}

void p4_port_check(struct p4_port *port) {
    if (port->in >= 0) {
        count_drops(port);
        struct sockaddr_ll bound = {0};
        socklen_t size = sizeof bound;
        if (getsockname(port->in, (struct sockaddr *)&bound, &size) == 0 &&
            bound.sll_ifindex == (int)if_nametoindex(port->name) && bound.sll_ifindex > 0) {
            learn_mtu(port);
            return;
        }
        p4_port_close(port);
    }
    p4_port_open(port);
}

void p4_port_take_error(const struct p4_port *port) {
    int error;
    socklen_t size = sizeof error;
    getsockopt(port->in, SOL_SOCKET, SO_ERROR, &error, &size);
}

/* Captures ----------------------------------------------------------------------------------------- */

static FILE *open_pcap(const char *folder, const char *name, const char *way) {
    char path[4096];
    const uint32_t head[] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};
    if (snprintf(path, sizeof path, "%s/%s_%s.pcap", folder, name, way) >= (int)sizeof path) return NULL;
    FILE *file = fopen(path, "wb");
    if (file) {
        fwrite(head, sizeof head, 1, file);
        fflush(file);
    }
    return file;
}

bool p4_port_capture(struct p4_port *port, const char *folder) {
    port->pcap_in = open_pcap(folder, port->name, "in");
    port->pcap_out = open_pcap(folder, port->name, "out");
    return port->pcap_in && port->pcap_out;
}

static void write_pcap(FILE *file, const uint8_t *frame, uint32_t size) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    const uint32_t head[] = {(uint32_t)t.tv_sec, (uint32_t)(t.tv_nsec / 1000), size, size};
    fwrite(head, sizeof head, 1, file);
    fwrite(frame, size, 1, file);
    fflush(file);
}

/* What comes in ------------------------------------------------------------------------------------ */

uint32_t p4_port_ready(const struct p4_port *port, struct tpacket2_hdr **ready, uint32_t most) {
    uint32_t n = 0;
    for (uint32_t at = port->next_in; n < most; at = after(at, port->in_places)) {
        struct tpacket2_hdr *head = (void *)place(port, port->in_ring, at);
        if (!(__atomic_load_n(&head->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) break;
        __builtin_prefetch((uint8_t *)head + 64);
        __builtin_prefetch((uint8_t *)head + 128);
        ready[n++] = head;
    }
    return n;
}

struct p4_frame p4_port_glimpse(const struct tpacket2_hdr *ready) {
    bool whole = !(ready->tp_status & (TP_STATUS_COPY | TP_STATUS_VLAN_VALID));
    return (struct p4_frame){(const uint8_t *)ready + ready->tp_mac, whole ? ready->tp_snaplen : 0};
}

/* The frame that was too long for its place in the ring: its size, or 0. */
static uint32_t take_long(const struct p4_port *port, uint8_t *frame) {
    ssize_t size;
    do size = recv(port->in, frame, P4_MAX_FRAME, MSG_DONTWAIT | MSG_TRUNC);
    while (size < 0 && (errno == EINTR || errno == ENETDOWN)); /* the latter is told once */
    return size > 0 && size <= P4_MAX_FRAME ? (uint32_t)size : 0;
}

/* The kernel takes a VLAN tag off the frame and tells of it beside; before the frame is room for it. */
static uint8_t *restore_tag(const struct tpacket2_hdr *head, uint8_t *frame, uint32_t *size) {
    if (!(head->tp_status & TP_STATUS_VLAN_VALID) || *size < 12) return frame;
    uint16_t type = head->tp_status & TP_STATUS_VLAN_TPID_VALID ? head->tp_vlan_tpid : ETHERTYPE_VLAN;
    memmove(frame - P4_TAG, frame, 12);
    frame -= P4_TAG;
    p4_store2(frame + 12, type);
    p4_store2(frame + 14, head->tp_vlan_tci);
    *size += P4_TAG;
    return frame;
}

uint32_t p4_port_frame(struct p4_port *port, struct tpacket2_hdr *first, uint8_t *room, uint8_t **frame) {
    uint32_t size = first->tp_len;
    *frame = (uint8_t *)first + first->tp_mac;
    if (first->tp_status & TP_STATUS_COPY) {
        *frame = room + P4_TAG;
        size = take_long(port, *frame);
    } else if (first->tp_snaplen < size) {
        size = 0;
    }
    if (!size) {
        port->rx_drops++;
        return 0;
    }
    *frame = restore_tag(first, *frame, &size);
    port->rx++;
    port->rx_bytes += size;
    if (port->pcap_in) write_pcap(port->pcap_in, *frame, size);
    return size;
}

void p4_port_release(struct p4_port *port, struct tpacket2_hdr *first) {
    __atomic_store_n(&first->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    port->next_in = after(port->next_in, port->in_places);
}

/* What goes out ------------------------------------------------------------------------------------ */

static void count_sent(struct p4_port *port, uint32_t frames, uint32_t bytes) {
    port->tx += frames;
    port->tx_bytes += bytes;
}

static void send_alone(struct p4_port *port, const uint8_t *frame, uint32_t size) {
    ssize_t sent;
    do sent = send(port->in, frame, size, MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        count_sent(port, 1, size);
        return;
    }
    port->tx_drops++;
    if (errno == EMSGSIZE) port->tx_too_long++;
}

static struct out_place *out_place(const struct p4_port *port, uint32_t index) {
    return (void *)place(port, port->out_ring, index);
}

static uint32_t status_of(const struct out_place *at) {
    return __atomic_load_n(&at->head.tp_status, __ATOMIC_ACQUIRE);
}

static uint32_t first_pending(const struct p4_port *port) {
    return port->next_out >= port->pending ? port->next_out - port->pending
                                           : port->next_out + port->out_places - port->pending;
}

/* The kernel stops at a frame that the interface does not take, and will go on at its place: this one and those behind
 * it go out one by one, each taken or not for itself. */
static void send_rest(struct p4_port *port) {
    uint32_t at = first_pending(port), left = port->pending;
    for (; left; left--, at = after(at, port->out_places)) {
        const struct out_place *next = out_place(port, at);
        if (status_of(next) & (TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT)) break;
        count_sent(port, 1, next->offloads.hdr_len);
    }
    port->next_out = at;
    for (; left; left--, at = after(at, port->out_places)) {
        struct out_place *next = out_place(port, at);
        send_alone(port, next->frame, next->offloads.hdr_len);
        __atomic_store_n(&next->head.tp_status, TP_STATUS_AVAILABLE, __ATOMIC_RELEASE);
    }
}

static void flush(struct p4_port *port) {
    if (!port->pending) return;
    uint32_t at = first_pending(port);
    for (uint32_t i = 0; i < port->pending; i++, at = after(at, port->out_places)) {
        struct out_place *next = out_place(port, at);
        if (port->pcap_out) write_pcap(port->pcap_out, next->frame, next->offloads.hdr_len);
        __atomic_store_n(&next->head.tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
    }
    ssize_t sent = send(port->out, NULL, 0, MSG_DONTWAIT);
    if (sent == (ssize_t)port->pending_bytes) count_sent(port, port->pending, port->pending_bytes);
    else send_rest(port);
    port->pending = port->pending_bytes = 0;
}

static bool has_place(const struct p4_port *port) {
    return port->pending < port->out_places && status_of(out_place(port, port->next_out)) == TP_STATUS_AVAILABLE;
}

uint8_t *p4_port_place(struct p4_port *port, uint32_t size) {
    bool fits = port->out >= 0 && !port->behind && size >= ETH_HLEN && size <= port->longest;
    if (fits && !has_place(port)) flush(port);
    if (!fits || !has_place(port)) { /* if the latter, a queue still holds all of the ring */
        port->behind = true;
        return NULL;
    }
    struct out_place *next = out_place(port, port->next_out);
    next->offloads.hdr_len = (uint16_t)size;
    next->head.tp_len = size + sizeof next->offloads;
    port->next_out = after(port->next_out, port->out_places);
    port->pending++;
    port->pending_bytes += size;
    return next->frame;
}

void p4_port_send(struct p4_port *port, const uint8_t *frame, uint32_t size) {
    flush(port);
    if (port->pcap_out) write_pcap(port->pcap_out, frame, size);
    if (port->out >= 0) send_alone(port, frame, size);
    else port->tx_drops++;
}

void p4_port_end(struct p4_port *port) {
    flush(port);
    port->behind = false;
}

static uint32_t held(int fd) {
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? (uint32_t)bytes : 0;
}

uint32_t p4_port_waiting(const struct p4_port *port) {
    if (port->out < 0) return 0;
    uint32_t frame = port->tx ? (uint32_t)(port->tx_bytes / port->tx) : 512, kept = 512;
    while (kept < frame + 320) kept *= 2;
    return port->pending + (held(port->in) + held(port->out)) / (kept + 256);
}
