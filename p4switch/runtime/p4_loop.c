/* The packet loop: one thread, two packet sockets per port (p4_port.h), frames in batches through p4_step.
 *
 * Sends pass the interface's queueing discipline, so that a blackhole there cuts the link, and never block: what a
 * port does not take is dropped and counted, and the other ports go on. An interface may go down or away and come
 * back; its sockets are opened again. Frames to the CPU port, digests and log records wait in a bounded queue. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "p4_port.h"
#include "p4_switch.h"
#include "p4_trace.h"

enum {
    MOST_EVENTS = 8 << 20, /* bytes of records that wait for Python; of traces as many again */
    MOST_INJECTED = 4096,  /* frames that wait to be taken in */
    CHECK_MS = 250,        /* how often a lost interface is looked for */
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
    void (*look_ahead)(struct p4 *, const struct p4_frame *, uint32_t);

    uint32_t n_ports;
    struct p4_port *ports;
    struct p4_port **by_number; /* 65536 */
    int64_t cpu_port;           /* -1: none */
    uint64_t start_ns;          /* CLOCK_MONOTONIC at now_us 0 */
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
    bool trace_cut;
    struct injected *first, *last;
    atomic_uint n_injected;

    uint8_t *long_frame; /* room for a tag, then for the longest */
};

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Look for interfaces that went away, or whose socket no longer belongs to the interface of that name. */
static void check_ports(struct loop *loop, uint64_t now_ms) {
    if (now_ms < loop->check_at_ms) return;
    loop->check_at_ms = now_ms + CHECK_MS;
    for (uint32_t i = 0; i < loop->n_ports; i++) p4_port_check(&loop->ports[i]);
}

/* What comes out ------------------------------------------------------------------------------------ */

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

/* Traces wait apart, so that they displace nothing and wake nobody. Behind an event that is lost, its packet's other
 * events would be told wrongly, and are lost, too. */
static void keep_trace(struct loop *loop, const struct p4_record *record, size_t size) {
    if (record->number == P4_TRACE_BEGIN) loop->trace_cut = false;
    if (loop->trace_cut || !append(&loop->traces, record, size)) {
        loop->trace_cut = true;
        loop->traces.lost++;
    }
}

static void keep_record(struct loop *loop, const struct p4_record *record) {
    size_t padded = sizeof *record + ((size_t)record->size + 7) / 8 * 8;
    pthread_mutex_lock(&loop->queue);
    bool first = loop->records.size == 0;
    if (record->kind == P4_TRACED) keep_trace(loop, record, padded);
    else if (!append(&loop->records, record, padded)) loop->records.lost++;
    else if (first) eventfd_write(loop->events, 1);
    pthread_mutex_unlock(&loop->queue);
}

static struct p4_port *port_of(const struct loop *loop, uint32_t number) {
    return number < 65536 ? loop->by_number[number] : NULL;
}

/* What a batch left: frames in their ports' rings, and in records those that found no place there, and all else. */
static void hand_out(struct loop *loop) {
    struct p4_output *out = &loop->sw->out;
    for (size_t at = 0; at < out->size;) {
        const struct p4_record *record = (const void *)(out->data + at);
        at += sizeof *record + ((size_t)record->size + 7) / 8 * 8;
        if (record->kind != P4_PACKET || record->number == loop->cpu_port) {
            keep_record(loop, record);
            continue;
        }
        struct p4_port *port = port_of(loop, record->number);
        if (port) p4_port_send(port, (const uint8_t *)(record + 1), record->size);
    }
    for (uint32_t i = 0; i < loop->n_ports; i++) p4_port_end(&loop->ports[i]);
    out->size = 0;
}

/* What comes in ------------------------------------------------------------------------------------- */

/* False: nothing waits. */
static bool take_batch(struct loop *loop, struct p4_port *port) {
    struct tpacket2_hdr *ready[P4_BATCH];
    struct p4_frame frames[P4_BATCH];
    uint32_t n = p4_port_ready(port, ready, P4_BATCH);
    if (!n) return false;
    uint64_t now_us = (clock_ns() - loop->start_ns) / 1000;
    loop->batch_begin(loop->sw);
    for (uint32_t i = 0; i < n; i++) frames[i] = p4_port_glimpse(ready[i]);
    loop->look_ahead(loop->sw, frames, n);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *frame;
        uint32_t size = p4_port_frame(port, ready[i], loop->long_frame, &frame);
        if (size) loop->step(loop->sw, port->number, frame, size, now_us, p4_random(&loop->random));
        p4_port_release(port, ready[i]);
    }
    loop->batch_end(loop->sw);
    hand_out(loop);
    return true;
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
        if (loop->ports[i].in >= 0 && take_batch(loop, &loop->ports[i])) some = true;
    return some;
}

/* By poll and not epoll, which has every frame that comes while the thread is awake tell of itself. */
static void sleep_until_something(struct loop *loop) {
    for (uint32_t i = 0; i < loop->n_ports; i++)
        loop->wait[i] = (struct pollfd){.fd = loop->ports[i].in, .events = POLLIN};
    loop->wait[loop->n_ports] = (struct pollfd){.fd = loop->wake, .events = POLLIN};
    if (poll(loop->wait, loop->n_ports + 1, CHECK_MS) <= 0) return;
    for (uint32_t i = 0; i < loop->n_ports; i++)
        if (loop->wait[i].revents & POLLERR) p4_port_take_error(&loop->ports[i]);
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
    loop->long_frame = malloc(P4_TAG + P4_MAX_FRAME);
    if (loop->wake < 0 || loop->events < 0 || !loop->by_number || !loop->long_frame) {
        loop_free(loop);
        return NULL;
    }
    return loop;
}

/* Before the start: 0, or errno. `pcap`: a folder for captures, or NULL. */
int loop_add_port(struct loop *loop, uint32_t number, const char *name, const char *pcap) {
    if (strlen(name) >= IF_NAMESIZE || number >= 65536) return EINVAL;
    struct p4_port *wider = realloc(loop->ports, (loop->n_ports + 1) * sizeof *wider);
    if (!wider) return ENOMEM;
    loop->ports = wider;
    struct p4_port *port = &loop->ports[loop->n_ports];
    memset(port, 0, sizeof *port);
    port->number = number;
    strcpy(port->name, name);
    if (!p4_port_open(port)) return errno;
    loop->n_ports++;
    return pcap && !p4_port_capture(port, pcap) ? EIO : 0;
}

static uint32_t queue_length(void *of, uint32_t number) {
    struct loop *loop = of;
    const struct p4_port *port = port_of(loop, number);
    return port ? p4_port_waiting(port) : 0;
}

static uint8_t *place(void *of, uint32_t number, uint32_t size) {
    struct loop *loop = of;
    struct p4_port *port = number == loop->cpu_port ? NULL : port_of(loop, number);
    return port ? p4_port_place(port, size) : NULL;
}

void loop_use(struct loop *loop, struct p4 *sw, p4_step_function step, void (*batch_begin)(struct p4 *),
              void (*batch_end)(struct p4 *), void (*look_ahead)(struct p4 *, const struct p4_frame *, uint32_t)) {
    take_turn(loop);
    loop->sw = sw;
    sw->queues = loop;
    sw->queue_length = queue_length;
    sw->place = place;
    loop->step = step;
    loop->batch_begin = batch_begin;
    loop->batch_end = batch_end;
    loop->look_ahead = look_ahead;
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
        struct p4_port *port = &loop->ports[i];
        p4_port_close(port);
        if (port->pcap_in) fclose(port->pcap_in);
        if (port->pcap_out) fclose(port->pcap_out);
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

/* Eight numbers per port: its number, then packets and bytes in, packets and bytes out, drops in and out, and of the
 * latter those of frames too long for the interface. */
void loop_port_numbers(struct loop *loop, uint32_t index, uint64_t *numbers) {
    const struct p4_port *port = &loop->ports[index];
    const uint64_t values[] = {port->number,   port->rx,       port->rx_bytes, port->tx,
                               port->tx_bytes, port->rx_drops, port->tx_drops, port->tx_too_long};
    memcpy(numbers, values, sizeof values);
}

uint64_t loop_lost_events(struct loop *loop) { return loop->records.lost; }
