/* The packet loop: one thread, a packet socket per port, frames in batches through p4_step.
 *
 * Frames come in through a ring that the kernel shares with this process (TPACKET_V2, Linux' packet_mmap.rst): who
 * sends a frame copies it, and no system call takes it out. One too long for its place in the ring waits in the
 * socket's queue, in the same order.
 *
 * Sends pass the interface's queueing discipline, so that a blackhole there cuts the link, and never block: what a
 * port does not take is dropped and counted, and the other ports go on. An interface may go down or away and come
 * back; its socket is opened again. Frames to the CPU port, digests and log records wait in a bounded queue. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
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
    BATCH = 64,
    PLACE = 1728,         /* bytes of the ring for a frame: an odd number of cache lines, so that all sets are used */
    RING_BLOCK = 1 << 16, /* bytes that the kernel allocates in one piece */
    RING_BLOCKS = 56,
    PLACES = RING_BLOCK / PLACE * RING_BLOCKS,
    TAG = 4,           /* bytes of a VLAN tag */
    MOST_SENDS = 1024, /* frames collected for one port before they are sent */
    SOCKET_BUFFER = 4 << 20,
    MOST_EVENTS = 8 << 20, /* bytes of records that wait for Python; of traces as many again */
    MOST_INJECTED = 4096,  /* frames that wait to be taken in */
    CHECK_MS = 250,        /* how often a lost interface is looked for */
};

struct port {
    uint32_t number;
    char name[IF_NAMESIZE];
    int fd;
    uint8_t *ring;
    uint32_t next; /* place of the ring that is filled next */
    uint64_t rx, tx, rx_bytes, tx_bytes, rx_drops, tx_drops;
    uint32_t pending;
    struct mmsghdr *send;
    struct iovec *vector;
    FILE *pcap_in, *pcap_out;
};

struct injected {
    struct injected *next;
    uint32_t port, size;
    uint8_t frame[];
};

struct records {
    uint8_t *data;
    size_t size, room;
    uint64_t lost;
};

struct loop {
    struct p4 *sw;
    p4_step_function step;
    void (*batch_begin)(struct p4 *), (*batch_end)(struct p4 *);

    uint32_t n_ports;
    struct port *ports;
    struct port **by_number; /* 65536 */
    int64_t cpu_port;        /* -1: none */
    uint64_t start_ns;       /* CLOCK_MONOTONIC at now_us 0 */
    uint64_t random;

    pthread_t thread;
    bool running;
    atomic_bool stop;
    int wake, events;
    struct pollfd *wait; /* the ports, then wake */
    uint64_t check_at_ms;

    pthread_mutex_t turn; /* held while a batch runs; taken by whoever swaps the program */
    atomic_int waiting;

    pthread_mutex_t queue; /* the queues below */
    struct records records, traces;
    struct injected *first, *last;
    atomic_uint n_injected;

    uint8_t *long_frame; /* room for a tag, then for the longest */
};

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
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

static void write_pcap(FILE *file, const uint8_t *frame, uint32_t size) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    const uint32_t head[] = {(uint32_t)t.tv_sec, (uint32_t)(t.tv_nsec / 1000), size, size};
    fwrite(head, sizeof head, 1, file);
    fwrite(frame, size, 1, file);
    fflush(file);
}

/* Sockets ------------------------------------------------------------------------------------------ */

static void set_option(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

static void close_port(struct port *port) {
    if (port->ring) munmap(port->ring, (size_t)RING_BLOCK * RING_BLOCKS);
    if (port->fd >= 0) close(port->fd);
    port->ring = NULL;
    port->fd = -1;
}

/* The port's socket, bound, and its ring. False: errno says why not. */
static bool open_port(struct port *port) {
    unsigned index = if_nametoindex(port->name);
    if (!index) return false;
    /* Protocol 0 until bound: else frames of every interface would come in before. */
    int fd = port->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    set_option(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
    set_option(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
    set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER);
    set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER);
    struct packet_mreq promiscuous = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous);
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
    struct tpacket_req ring = {RING_BLOCK, RING_BLOCKS, PLACE, PLACES};
    set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
    set_option(fd, SOL_PACKET, PACKET_COPY_THRESH, 1); /* any: what is too long for its place also waits whole */
    if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) == 0) {
        void *mapped = mmap(NULL, (size_t)RING_BLOCK * RING_BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED) {
            port->ring = mapped;
            port->next = 0;
            if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) return true;
        }
    }
    int error = errno;
    close_port(port);
    errno = error;
    return false;
}

/* Frames that found the ring full; the kernel counts from one question to the next. */
static void count_drops(struct port *port) {
    struct tpacket_stats since = {0};
    socklen_t size = sizeof since;
    if (getsockopt(port->fd, SOL_PACKET, PACKET_STATISTICS, &since, &size) == 0) port->rx_drops += since.tp_drops;
}

/* Look for interfaces that went away, or whose socket no longer belongs to the interface of that name. */
static void check_ports(struct loop *loop, uint64_t now_ms) {
    if (now_ms < loop->check_at_ms) return;
    loop->check_at_ms = now_ms + CHECK_MS;
    for (uint32_t i = 0; i < loop->n_ports; i++) {
        struct port *port = &loop->ports[i];
        if (port->fd >= 0) {
            count_drops(port);
            struct sockaddr_ll bound = {0};
            socklen_t size = sizeof bound;
            if (getsockname(port->fd, (struct sockaddr *)&bound, &size) == 0 &&
                bound.sll_ifindex == (int)if_nametoindex(port->name) && bound.sll_ifindex > 0)
                continue;
            close_port(port);
        }
        open_port(port);
    }
}

/* What comes out ------------------------------------------------------------------------------------ */

static void send_pending(struct port *port) {
    uint32_t sent = 0;
    while (sent < port->pending && port->fd >= 0) {
        int n = sendmmsg(port->fd, port->send + sent, port->pending - sent, MSG_DONTWAIT);
        if (n > 0) {
            for (int i = 0; i < n; i++) port->tx_bytes += port->vector[sent + (uint32_t)i].iov_len;
            port->tx += (uint32_t)n;
            sent += (uint32_t)n;
        } else if (errno == EINTR) {
            continue;
        } else if (errno == EAGAIN || errno == ENETDOWN || errno == ENXIO || errno == ENODEV) {
            break; /* nothing more goes out of this port for now */
        } else {
            sent++; /* this one frame: too long, too short, or no room in the queue */
            port->tx_drops++;
        }
    }
    port->tx_drops += port->pending - sent;
    port->pending = 0;
}

/* False: no room, and the record is lost. */
static bool append(struct records *to, const struct p4_record *record, size_t size) {
    if (to->size + size > MOST_EVENTS) return false;
    if (to->size + size > to->room) {
        size_t room = to->room ? to->room * 2 : 65536;
        while (room < to->size + size) room *= 2;
        uint8_t *wider = realloc(to->data, room);
        if (!wider) return false;
        to->data = wider;
        to->room = room;
    }
    memcpy(to->data + to->size, record, size);
    to->size += size;
    return true;
}

/* Traces wait apart, so that they displace nothing and wake nobody. */
static void keep_record(struct loop *loop, const struct p4_record *record) {
    size_t padded = sizeof *record + ((size_t)record->size + 7) / 8 * 8;
    bool traced = record->kind == P4_TRACED;
    struct records *to = traced ? &loop->traces : &loop->records;
    pthread_mutex_lock(&loop->queue);
    bool first = to->size == 0;
    if (!append(to, record, padded)) to->lost++;
    else if (first && !traced) eventfd_write(loop->events, 1);
    pthread_mutex_unlock(&loop->queue);
}

static void hand_out(struct loop *loop) {
    struct p4_output *out = &loop->sw->out;
    for (size_t at = 0; at < out->size;) {
        const struct p4_record *record = (const void *)(out->data + at);
        at += sizeof *record + ((size_t)record->size + 7) / 8 * 8;
        if (record->kind != P4_PACKET || record->number == loop->cpu_port) {
            keep_record(loop, record);
            continue;
        }
        struct port *port = record->number < 65536 ? loop->by_number[record->number] : NULL;
        if (!port) continue;
        if (port->pcap_out) write_pcap(port->pcap_out, (const uint8_t *)(record + 1), record->size);
        struct iovec *vector = &port->vector[port->pending];
        vector->iov_base = (void *)(uintptr_t)(record + 1);
        vector->iov_len = record->size;
        if (++port->pending == MOST_SENDS) send_pending(port);
    }
    for (uint32_t i = 0; i < loop->n_ports; i++)
        if (loop->ports[i].pending) send_pending(&loop->ports[i]);
    out->size = 0;
}

/* What comes in ------------------------------------------------------------------------------------- */

/* The kernel takes a VLAN tag off the frame and tells of it beside; before the frame is room for it. */
static uint8_t *restore_tag(const struct tpacket2_hdr *head, uint8_t *frame, uint32_t *size) {
    if (!(head->tp_status & TP_STATUS_VLAN_VALID) || *size < 12) return frame;
    uint16_t type = head->tp_status & TP_STATUS_VLAN_TPID_VALID ? head->tp_vlan_tpid : ETHERTYPE_VLAN;
    memmove(frame - TAG, frame, 12);
    frame -= TAG;
    p4_store2(frame + 12, type);
    p4_store2(frame + 14, head->tp_vlan_tci);
    *size += TAG;
    return frame;
}

static struct tpacket2_hdr *place(const struct port *port, uint32_t index) {
    enum { PER_BLOCK = RING_BLOCK / PLACE };
    return (void *)(port->ring + (size_t)(index / PER_BLOCK) * RING_BLOCK + (size_t)(index % PER_BLOCK) * PLACE);
}

/* The frame that was too long for its place in the ring: its size, or 0. */
static uint32_t take_long(struct loop *loop, const struct port *port) {
    ssize_t size;
    do size = recv(port->fd, loop->long_frame + TAG, P4_MAX_FRAME, MSG_DONTWAIT | MSG_TRUNC);
    while (size < 0 && (errno == EINTR || errno == ENETDOWN)); /* the latter is told once */
    return size > 0 && size <= P4_MAX_FRAME ? (uint32_t)size : 0;
}

/* False: nothing waits. */
static bool take_batch(struct loop *loop, struct port *port) {
    struct tpacket2_hdr *ready[BATCH];
    uint32_t n = 0;
    for (uint32_t at = port->next; n < BATCH; n++) {
        struct tpacket2_hdr *head = place(port, at);
        if (!(__atomic_load_n(&head->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) break;
        __builtin_prefetch((uint8_t *)head + 64);
        __builtin_prefetch((uint8_t *)head + 128);
        ready[n] = head;
        at = at + 1 == PLACES ? 0 : at + 1;
    }
    if (!n) return false;
    uint64_t now_us = (clock_ns() - loop->start_ns) / 1000;
    loop->batch_begin(loop->sw);
    for (uint32_t i = 0; i < n; i++) {
        struct tpacket2_hdr *head = ready[i];
        uint8_t *frame = (uint8_t *)head + head->tp_mac;
        uint32_t size = head->tp_len;
        if (head->tp_status & TP_STATUS_COPY) {
            frame = loop->long_frame + TAG;
            size = take_long(loop, port);
        } else if (head->tp_snaplen < size) {
            size = 0;
        }
        if (size) {
            frame = restore_tag(head, frame, &size);
            port->rx++;
            port->rx_bytes += size;
            if (port->pcap_in) write_pcap(port->pcap_in, frame, size);
            loop->step(loop->sw, port->number, frame, size, now_us, p4_random(&loop->random));
        } else {
            port->rx_drops++;
        }
        __atomic_store_n(&head->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    }
    port->next = (port->next + n) % PLACES;
    loop->batch_end(loop->sw);
    hand_out(loop);
    return true;
}

/* An interface that goes down is told of as an error until it is asked for. */
static void take_error(const struct port *port) {
    int error;
    socklen_t size = sizeof error;
    getsockopt(port->fd, SOL_SOCKET, SO_ERROR, &error, &size);
}

static void take_injected(struct loop *loop) {
    pthread_mutex_lock(&loop->queue);
    struct injected *list = loop->first;
    loop->first = loop->last = NULL;
    loop->n_injected = 0;
    pthread_mutex_unlock(&loop->queue);
    if (!list) return;
    uint64_t now_us = (clock_ns() - loop->start_ns) / 1000;
    loop->batch_begin(loop->sw);
    while (list) {
        struct injected *next = list->next;
        loop->step(loop->sw, list->port, list->frame, list->size, now_us, p4_random(&loop->random));
        free(list);
        list = next;
    }
    loop->batch_end(loop->sw);
    hand_out(loop);
}

/* Frames of all ports, and what was injected. False: there was nothing. */
static bool take_all(struct loop *loop) {
    bool some = atomic_load_explicit(&loop->n_injected, memory_order_relaxed) > 0;
    if (some) take_injected(loop);
    for (uint32_t i = 0; i < loop->n_ports; i++)
        if (loop->ports[i].fd >= 0 && take_batch(loop, &loop->ports[i])) some = true;
    return some;
}

/* By poll and not epoll, which has every frame that comes while the thread is awake tell of itself. */
static void sleep_until_something(struct loop *loop) {
    for (uint32_t i = 0; i < loop->n_ports; i++)
        loop->wait[i] = (struct pollfd){.fd = loop->ports[i].fd, .events = POLLIN};
    loop->wait[loop->n_ports] = (struct pollfd){.fd = loop->wake, .events = POLLIN};
    if (poll(loop->wait, loop->n_ports + 1, CHECK_MS) <= 0) return;
    for (uint32_t i = 0; i < loop->n_ports; i++)
        if (loop->wait[i].revents & POLLERR) take_error(&loop->ports[i]);
    if (loop->wait[loop->n_ports].revents) {
        eventfd_t ignored;
        eventfd_read(loop->wake, &ignored);
    }
}

static void *run(void *argument) {
    struct loop *loop = argument;
    while (!atomic_load(&loop->stop)) {
        for (int i = 0; i < 64 && atomic_load(&loop->waiting) > 0; i++) sched_yield();
        pthread_mutex_lock(&loop->turn);
        bool some = take_all(loop);
        check_ports(loop, clock_ns() / 1000000);
        pthread_mutex_unlock(&loop->turn);
        if (!some) sleep_until_something(loop);
    }
    return NULL;
}

/* For Python ---------------------------------------------------------------------------------------- */

static void take_turn(struct loop *loop) {
    atomic_fetch_add(&loop->waiting, 1);
    pthread_mutex_lock(&loop->turn);
    atomic_fetch_sub(&loop->waiting, 1);
}

void loop_free(struct loop *loop);

struct loop *loop_new(int64_t cpu_port, uint64_t start_ns, uint64_t seed) {
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop) return NULL;
    pthread_mutex_init(&loop->turn, NULL);
    pthread_mutex_init(&loop->queue, NULL);
    loop->cpu_port = cpu_port;
    loop->start_ns = start_ns;
    loop->random = seed;
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->by_number = calloc(65536, sizeof *loop->by_number);
    loop->long_frame = malloc(TAG + P4_MAX_FRAME);
    if (loop->wake < 0 || loop->events < 0 || !loop->by_number || !loop->long_frame) {
        loop_free(loop);
        return NULL;
    }
    return loop;
}

/* Before the start: 0, or errno. `pcap`: a folder for captures, or NULL. */
int loop_add_port(struct loop *loop, uint32_t number, const char *name, const char *pcap) {
    if (strlen(name) >= IF_NAMESIZE || number >= 65536) return EINVAL;
    struct port *wider = realloc(loop->ports, (loop->n_ports + 1) * sizeof *wider);
    if (!wider) return ENOMEM;
    loop->ports = wider;
    struct port *port = &loop->ports[loop->n_ports];
    memset(port, 0, sizeof *port);
    port->number = number;
    strcpy(port->name, name);
    port->fd = -1;
    if (!open_port(port)) return errno;
    port->send = calloc(MOST_SENDS, sizeof *port->send);
    port->vector = calloc(MOST_SENDS, sizeof *port->vector);
    if (pcap) {
        port->pcap_in = open_pcap(pcap, name, "in");
        port->pcap_out = open_pcap(pcap, name, "out");
    }
    loop->n_ports++;
    if (!port->send || !port->vector) return ENOMEM;
    if (pcap && (!port->pcap_in || !port->pcap_out)) return EIO;
    for (int i = 0; i < MOST_SENDS; i++)
        port->send[i].msg_hdr = (struct msghdr){.msg_iov = &port->vector[i], .msg_iovlen = 1};
    return 0;
}

/* About how many packets wait to leave a port: those collected here, and those of the socket that the interface's
 * queueing discipline still holds, by what the kernel keeps for a packet of the port's mean size. */
static uint32_t queue_length(void *of, uint32_t number) {
    struct loop *loop = of;
    struct port *port = number < 65536 ? loop->by_number[number] : NULL;
    int held = 0;
    if (!port || port->fd < 0 || ioctl(port->fd, SIOCOUTQ, &held) < 0) return 0;
    uint32_t frame = port->tx ? (uint32_t)(port->tx_bytes / port->tx) : 512, kept = 512;
    while (kept < frame + 320) kept *= 2;
    return port->pending + (uint32_t)held / (kept + 256);
}

void loop_use(struct loop *loop, struct p4 *sw, p4_step_function step, void (*batch_begin)(struct p4 *),
              void (*batch_end)(struct p4 *)) {
    take_turn(loop);
    loop->sw = sw;
    sw->queues = loop;
    sw->queue_length = queue_length;
    loop->step = step;
    loop->batch_begin = batch_begin;
    loop->batch_end = batch_end;
    pthread_mutex_unlock(&loop->turn);
}

int loop_start(struct loop *loop) {
    loop->wait = calloc(loop->n_ports + 1, sizeof *loop->wait);
    if (!loop->wait) return ENOMEM;
    for (uint32_t i = 0; i < loop->n_ports; i++) loop->by_number[loop->ports[i].number] = &loop->ports[i];
    int error = pthread_create(&loop->thread, NULL, run, loop);
    loop->running = error == 0;
    return error;
}

void loop_stop(struct loop *loop) {
    if (!loop->running) return;
    atomic_store(&loop->stop, true);
    eventfd_write(loop->wake, 1);
    pthread_join(loop->thread, NULL);
    loop->running = false;
}

void loop_free(struct loop *loop) {
    loop_stop(loop);
    for (uint32_t i = 0; i < loop->n_ports; i++) {
        struct port *port = &loop->ports[i];
        close_port(port);
        if (port->pcap_in) fclose(port->pcap_in);
        if (port->pcap_out) fclose(port->pcap_out);
        free(port->send);
        free(port->vector);
    }
    while (loop->first) {
        struct injected *next = loop->first->next;
        free(loop->first);
        loop->first = next;
    }
    free(loop->wait);
    if (loop->wake >= 0) close(loop->wake);
    if (loop->events >= 0) close(loop->events);
    pthread_mutex_destroy(&loop->turn);
    pthread_mutex_destroy(&loop->queue);
    free(loop->ports);
    free(loop->by_number);
    free(loop->records.data);
    free(loop->traces.data);
    free(loop->long_frame);
    free(loop);
}

int loop_events_fd(struct loop *loop) { return loop->events; }

/* false: too many frames wait already, or no memory. */
bool loop_inject(struct loop *loop, uint32_t port, const uint8_t *frame, uint32_t size) {
    struct injected *item = malloc(sizeof *item + size);
    if (!item) return false;
    *item = (struct injected){NULL, port, size};
    memcpy(item->frame, frame, size);
    pthread_mutex_lock(&loop->queue);
    bool room = loop->n_injected < MOST_INJECTED;
    if (room) {
        if (loop->last) loop->last->next = item;
        else loop->first = item;
        loop->last = item;
        loop->n_injected++;
    }
    pthread_mutex_unlock(&loop->queue);
    if (!room) free(item);
    else eventfd_write(loop->wake, 1);
    return room;
}

/* With the queue's lock: the records; the caller frees them. */
static uint8_t *take_records(struct records *from, size_t *size) {
    uint8_t *data = from->data;
    *size = from->size;
    from->data = NULL;
    from->size = from->room = 0;
    return data;
}

/* The records that wait; the caller frees them. */
uint8_t *loop_drain(struct loop *loop, size_t *size) {
    eventfd_t ignored;
    pthread_mutex_lock(&loop->queue);
    eventfd_read(loop->events, &ignored);
    uint8_t *records = take_records(&loop->records, size);
    pthread_mutex_unlock(&loop->queue);
    return records;
}

/* The same of a tracing program's events. */
uint8_t *loop_drain_traces(struct loop *loop, size_t *size) {
    pthread_mutex_lock(&loop->queue);
    uint8_t *records = take_records(&loop->traces, size);
    pthread_mutex_unlock(&loop->queue);
    return records;
}

void loop_free_block(void *block) { free(block); }

/* Seven numbers per port: its number, then packets and bytes in, packets and bytes out, drops in and out. */
void loop_port_numbers(struct loop *loop, uint32_t index, uint64_t *numbers) {
    const struct port *port = &loop->ports[index];
    const uint64_t values[] = {port->number,   port->rx,       port->rx_bytes, port->tx,
                               port->tx_bytes, port->rx_drops, port->tx_drops};
    memcpy(numbers, values, sizeof values);
}

uint64_t loop_lost_events(struct loop *loop) { return loop->records.lost; }
