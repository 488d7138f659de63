/* One instance of a program: tables, counters, registers, replication groups, and what a step gives.
 *
 * The generated program includes this, describes itself by a struct p4_program, and defines p4_step.
 * Locking: p4_edit_* take the lock; a packet loop brackets a batch of steps by p4_batch_begin and p4_batch_end. */
#ifndef P4_SWITCH_H
#define P4_SWITCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "p4_bits.h"
#include "p4_tables.h"
#include "p4_wide.h"

enum {
    P4_MAX_FRAME = 65535,   /* bytes in; */
    P4_MAX_HEADERS = 16384, /* bytes of headers that a program may put in front */
    P4_DROP_PORT = 511,
    P4_PORTS = 512,
    P4_MAX_JOBS = 16384,  /* packets (copies, clones, rounds) that one frame may become */
    P4_MAX_ROUNDS = 1024, /* times that one may be resubmitted, recirculated or cloned at egress */
};

enum p4_instance_type {
    P4_NORMAL = 0,
    P4_INGRESS_CLONE = 1,
    P4_EGRESS_CLONE = 2,
    P4_RECIRCULATED = 4,
    P4_REPLICATED = 5,
    P4_RESUBMITTED = 6,
};

struct p4_counter {
    uint64_t packets, bytes;
};

struct p4_replica {
    uint32_t port, instance;
};

struct p4_replicas {
    uint32_t count;
    uint32_t truncate; /* bytes; 0: whole packets */
    struct p4_replica replica[];
};

struct p4_value_set {
    uint32_t count, words;
    uint64_t *members;
};

struct p4_array_info {
    const char *name;
    uint32_t size;
    uint32_t words; /* registers: of a cell; value sets: of a member */
    bool bytes;     /* meters: they count bytes, not packets */
};

struct p4_program {
    uint32_t tables, counters, meters, registers, value_sets;
    const struct p4_table_info *table;
    const struct p4_array_info *counter, *meter, *reg, *value_set;
    uint32_t packet_size; /* of the program's struct packet */
};

/* What a step gives: records one after another, each this head and `size` bytes, padded to 8. */
enum p4_record_kind { P4_PACKET = 1, P4_DIGEST = 2, P4_LOG = 3, P4_TRACED = 4 };

struct p4_record {
    uint32_t kind;
    uint32_t number; /* packet: egress port; digest: number of the list; log: number of the message; traced: event */
    uint32_t size;
    uint32_t pad;
};

struct p4_output {
    uint8_t *data;
    size_t size, room;
};

/* The part of a packet that every program's has. */
struct p4_packet {
    const uint8_t *frame; /* as it came in, or as it was deparsed for another round */
    uint32_t frame_size;
    uint32_t parsed;         /* bytes that the parser took */
    uint32_t length;         /* what packet_length will say at egress */
    uint32_t ingress_length; /* what counters and byte meters count */
    uint32_t truncate;
    uint32_t clone_session, clone_list; /* session + 1, or 0 */
    uint32_t resubmit, recirculate, digest;
    uint32_t round;
    uint32_t parser_error;
    bool checksum_error, exit, dropped;
};

struct p4_job {
    struct p4_job *next;
    bool egress;
    uint32_t port;
    struct p4_packet *packet;
};

struct p4_chunk;

struct p4 {
    const struct p4_program *program;
    pthread_mutex_t lock;
    atomic_int editors; /* threads that wait to edit */
    struct p4_table *tables;
    struct p4_counter **counters;
    struct p4_meter **meters;
    uint64_t **registers;
    struct p4_value_set *value_sets;
    struct p4_replicas **groups;   /* 65536 */
    struct p4_replicas **sessions; /* 32768 */
    bool logging;
    /* What enq_qdepth says: packets that wait to leave a port. A packet loop knows; else depths, as set. */
    uint32_t (*queue_length)(void *queues, uint32_t port);
    uint8_t *(*place)(void *queues, uint32_t port, uint32_t size); /* NULL: none, or it answers that it has none */
    void *queues;
    uint32_t depths[P4_PORTS];

    /* of the step under way */
    uint64_t now_us;
    uint64_t random;
    uint32_t budget;
    struct p4_output out;
    struct p4_job *first, *last;
    struct p4_chunk *chunks;
    struct p4_packet *packets[3]; /* the one being processed, a clone, a copy */
    uint8_t *scratch;             /* a frame's bytes: for checksums over a payload, and deparsing */
};

/* Steps (called by generated code). */
void *p4_record(struct p4 *sw, uint32_t kind, uint32_t number, uint32_t size);
uint8_t *p4_emit(struct p4 *sw, uint32_t port, uint32_t size);
void *p4_arena(struct p4 *sw, size_t size);
void p4_clear(void *at, size_t size);
void p4_copy(void *to, const void *from, size_t size);
void p4_arena_reset(struct p4 *sw);
struct p4_packet *p4_queue(struct p4 *sw, const struct p4_packet *packet, bool egress, uint32_t port);
uint32_t p4_meter_colour(struct p4_meter *meter, uint64_t now_us, uint64_t amount);
uint32_t p4_queue_length(struct p4 *sw, uint32_t port);
bool p4_value_set_has(const struct p4_value_set *set, const uint64_t *key, const uint64_t *mask);

typedef void (*p4_step_function)(struct p4 *sw, uint32_t port, const uint8_t *frame, uint32_t size, uint64_t now_us,
                                 uint64_t random);

/* Life. */
struct p4 *p4_create(const struct p4_program *program);
void p4_free(struct p4 *sw);
void p4_batch_begin(struct p4 *sw);
/* In a batch, of the frames that come next: see p4_table_look_ahead. */
void p4_look_ahead(struct p4 *sw, const struct p4_frame *frames, uint32_t count);
void p4_batch_end(struct p4 *sw);

#endif
