#define _GNU_SOURCE
#include "p4_switch.h"

#include <sched.h>
#include <stddef.h>
#include <stdlib.h>

struct p4_chunk {
    struct p4_chunk *next;
    size_t size, used;
    max_align_t data[];
};

/* Life ------------------------------------------------------------------------------------------ */

struct p4 *p4_create(const struct p4_program *program) {
    struct p4 *sw = calloc(1, sizeof *sw);
    if (!sw) return NULL;
    sw->program = program;
    pthread_mutex_init(&sw->lock, NULL);
    sw->tables = calloc(program->tables + 1, sizeof *sw->tables);
    sw->counters = calloc(program->counters + 1, sizeof *sw->counters);
    sw->meters = calloc(program->meters + 1, sizeof *sw->meters);
    sw->registers = calloc(program->registers + 1, sizeof *sw->registers);
    sw->value_sets = calloc(program->value_sets + 1, sizeof *sw->value_sets);
    sw->groups = calloc(65536, sizeof *sw->groups);
    sw->sessions = calloc(32768, sizeof *sw->sessions);
    sw->scratch = malloc(P4_MAX_FRAME + P4_MAX_HEADERS + 16);
    for (int i = 0; i < 3; i++) sw->packets[i] = calloc(1, program->packet_size);
    bool whole = sw->tables && sw->counters && sw->meters && sw->registers && sw->value_sets && sw->groups &&
                 sw->sessions && sw->scratch && sw->packets[0] && sw->packets[1] && sw->packets[2];
    for (uint32_t i = 0; whole && i < program->tables; i++) {
        p4_table_init(&sw->tables[i], &program->table[i]);
        whole = sw->tables[i].fallback && (!program->table[i].meter || sw->tables[i].fallback->meter);
    }
    for (uint32_t i = 0; whole && i < program->counters; i++)
        whole = (sw->counters[i] = calloc(program->counter[i].size + 1u, sizeof **sw->counters));
    for (uint32_t i = 0; whole && i < program->meters; i++)
        whole = (sw->meters[i] = calloc(program->meter[i].size + 1u, sizeof **sw->meters));
    for (uint32_t i = 0; whole && i < program->registers; i++)
        whole = (sw->registers[i] = calloc(program->reg[i].size + 1ul, program->reg[i].words * sizeof(uint64_t)));
    for (uint32_t i = 0; whole && i < program->value_sets; i++) sw->value_sets[i].words = program->value_set[i].words;
    if (whole) return sw;
    p4_free(sw);
    return NULL;
}

void p4_free(struct p4 *sw) {
    if (!sw) return;
    for (uint32_t i = 0; sw->tables && i < sw->program->tables; i++) p4_table_free(&sw->tables[i]);
    for (uint32_t i = 0; sw->counters && i < sw->program->counters; i++) free(sw->counters[i]);
    for (uint32_t i = 0; sw->meters && i < sw->program->meters; i++) free(sw->meters[i]);
    for (uint32_t i = 0; sw->registers && i < sw->program->registers; i++) free(sw->registers[i]);
    for (uint32_t i = 0; sw->value_sets && i < sw->program->value_sets; i++) free(sw->value_sets[i].members);
    for (uint32_t i = 0; sw->groups && i < 65536; i++) free(sw->groups[i]);
    for (uint32_t i = 0; sw->sessions && i < 32768; i++) free(sw->sessions[i]);
    for (int i = 0; i < 3; i++) free(sw->packets[i]);
    p4_arena_reset(sw);
    while (sw->chunks) {
        struct p4_chunk *next = sw->chunks->next;
        free(sw->chunks);
        sw->chunks = next;
    }
    free(sw->tables);
    free(sw->counters);
    free(sw->meters);
    free(sw->registers);
    free(sw->value_sets);
    free(sw->groups);
    free(sw->sessions);
    free(sw->scratch);
    free(sw->out.data);
    pthread_mutex_destroy(&sw->lock);
    free(sw);
}

static void edit_begin(struct p4 *sw) {
    atomic_fetch_add(&sw->editors, 1);
    pthread_mutex_lock(&sw->lock);
    atomic_fetch_sub(&sw->editors, 1);
}

static void edit_end(struct p4 *sw) { pthread_mutex_unlock(&sw->lock); }

/* A busy loop would win the lock again and again; it lets waiting editors go first. */
void p4_batch_begin(struct p4 *sw) {
    for (int i = 0; i < 64 && atomic_load(&sw->editors) > 0; i++) sched_yield();
    pthread_mutex_lock(&sw->lock);
}

void p4_look_ahead(struct p4 *sw, const struct p4_frame *frames, uint32_t count) {
    for (uint32_t i = 0; i < sw->program->tables; i++) p4_table_look_ahead(&sw->tables[i], frames, count);
}

void p4_batch_end(struct p4 *sw) { pthread_mutex_unlock(&sw->lock); }

/* Steps ----------------------------------------------------------------------------------------- */

/* Room for one more record; NULL without memory, and the packet or digest is lost. */
void *p4_record(struct p4 *sw, uint32_t kind, uint32_t number, uint32_t size) {
    struct p4_output *out = &sw->out;
    size_t padded = sizeof(struct p4_record) + ((size_t)size + 7) / 8 * 8;
    if (out->room - out->size < padded) {
        size_t room = (out->room ? out->room * 2 : 65536) + padded;
        uint8_t *data = realloc(out->data, room);
        if (!data) return NULL;
        out->data = data;
        out->room = room;
    }
    struct p4_record *record = (struct p4_record *)(void *)(out->data + out->size);
    *record = (struct p4_record){kind, number, size, 0};
    out->size += padded;
    return record + 1;
}

/* Room for a frame that leaves, to be filled before the next is asked for: where its port sends from, or a record. */
uint8_t *p4_emit(struct p4 *sw, uint32_t port, uint32_t size) {
    uint8_t *place = sw->place ? sw->place(sw->queues, port, size) : NULL;
    return place ? place : p4_record(sw, P4_PACKET, port, size);
}

/* Functions, because compilers write out a memset or memcpy of a packet's size as an instruction that takes longer. */
void p4_clear(void *at, size_t size) { memset(at, 0, size); }

void p4_copy(void *to, const void *from, size_t size) { memcpy(to, from, size); }

/* Memory until the step's end. */
void *p4_arena(struct p4 *sw, size_t size) {
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!sw->chunks || sw->chunks->size - sw->chunks->used < size) {
        size_t room = size > 262144 ? size : 262144;
        struct p4_chunk *chunk = malloc(sizeof *chunk + room);
        if (!chunk) return NULL;
        *chunk = (struct p4_chunk){sw->chunks, room, 0};
        sw->chunks = chunk;
    }
    void *block = (uint8_t *)sw->chunks->data + sw->chunks->used;
    sw->chunks->used += size;
    return block;
}

/* One chunk stays for the next step. */
void p4_arena_reset(struct p4 *sw) {
    while (sw->chunks && sw->chunks->next) {
        struct p4_chunk *next = sw->chunks->next;
        free(sw->chunks);
        sw->chunks = next;
    }
    if (sw->chunks) sw->chunks->used = 0;
}

/* Put a copy of a packet at the end of the step's queue; NULL where the frame has become too many packets. */
struct p4_packet *p4_queue(struct p4 *sw, const struct p4_packet *packet, bool egress, uint32_t port) {
    if (sw->budget == 0 || packet->round >= P4_MAX_ROUNDS) return NULL;
    sw->budget--;
    struct p4_job *job = p4_arena(sw, sizeof *job);
    struct p4_packet *copy = p4_arena(sw, sw->program->packet_size);
    if (!job || !copy) return NULL;
    memcpy(copy, packet, sw->program->packet_size);
    copy->round++;
    *job = (struct p4_job){NULL, egress, port, copy};
    if (sw->last) sw->last->next = job;
    else sw->first = job;
    sw->last = job;
    return copy;
}

static bool take_tokens(struct p4_meter *meter, int which, uint64_t now_us, uint64_t amount) {
    uint64_t filled = (uint64_t)((unsigned __int128)now_us * meter->rate[which] / 1000000);
    uint64_t fresh = filled > meter->filled[which] ? filled - meter->filled[which] : 0;
    uint64_t room = meter->burst[which] - meter->tokens[which];
    meter->tokens[which] += fresh < room ? fresh : room;
    meter->filled[which] = filled;
    if (meter->tokens[which] < amount) return false;
    meter->tokens[which] -= amount;
    return true;
}

/* 0 green, 1 yellow, 2 red. */
uint32_t p4_meter_colour(struct p4_meter *meter, uint64_t now_us, uint64_t amount) {
    if (!meter->configured) return 0;
    if (!take_tokens(meter, 0, now_us, amount)) return 2;
    return take_tokens(meter, 1, now_us, amount) ? 0 : 1;
}

bool p4_value_set_has(const struct p4_value_set *set, const uint64_t *key, const uint64_t *mask) {
    for (uint32_t m = 0; m < set->count; m++) {
        const uint64_t *member = set->members + (size_t)m * set->words;
        uint32_t i = 0;
        while (i < set->words && (member[i] & mask[i]) == (key[i] & mask[i])) i++;
        if (i == set->words) return true;
    }
    return false;
}

/* One step for a caller without a loop. The records are the caller's, to be freed by p4_free_block. */
void p4_step_alone(struct p4 *sw, p4_step_function step, uint32_t port, const uint8_t *frame, uint32_t size,
                   uint64_t now_us, uint64_t random, uint8_t **data, size_t *filled) {
    p4_batch_begin(sw);
    struct p4_output kept = sw->out;
    uint8_t *(*place)(void *, uint32_t, uint32_t) = sw->place;
    sw->out = (struct p4_output){0};
    sw->place = NULL;
    p4_look_ahead(sw, &(struct p4_frame){frame, size}, 1);
    step(sw, port, frame, size, now_us, random);
    *data = sw->out.data;
    *filled = sw->out.size;
    sw->out = kept;
    sw->place = place;
    p4_batch_end(sw);
}

uint32_t p4_queue_length(struct p4 *sw, uint32_t port) {
    if (sw->queue_length) return sw->queue_length(sw->queues, port);
    return port < P4_PORTS ? sw->depths[port] : 0;
}

void p4_set_queue_length(struct p4 *sw, uint32_t port, uint32_t packets) { sw->depths[port] = packets; }

void p4_set_logging(struct p4 *sw, bool on) { sw->logging = on; }

/* Edits, for Python. Each takes the lock, so that the packet loop sees all of it or nothing. ----------------------- */

static void set_params(const struct p4_table *table, struct p4_entry *entry, const uint64_t *params) {
    memcpy(p4_entry_params(table->info, entry), params, table->info->param_words * sizeof *params);
}

struct p4_entry *p4_edit_insert(struct p4 *sw, uint32_t table, const uint64_t *value, const uint64_t *mask,
                                uint32_t rank, uint32_t action, const uint64_t *params, struct p4_call *member,
                                struct p4_group *group) {
    edit_begin(sw);
    struct p4_entry *entry = p4_table_add(&sw->tables[table], value, mask, rank);
    if (entry) {
        entry->action = action;
        entry->member = member;
        entry->group = group;
        set_params(&sw->tables[table], entry, params);
    }
    edit_end(sw);
    return entry;
}

void p4_edit_delete(struct p4 *sw, uint32_t table, struct p4_entry *entry) {
    edit_begin(sw);
    p4_table_remove(&sw->tables[table], entry);
    edit_end(sw);
}

/* `entry` NULL: the default one. */
void p4_edit_modify(struct p4 *sw, uint32_t table, struct p4_entry *entry, uint32_t action, const uint64_t *params,
                    struct p4_call *member, struct p4_group *group) {
    edit_begin(sw);
    if (!entry) entry = sw->tables[table].fallback;
    entry->action = action;
    entry->member = member;
    entry->group = group;
    set_params(&sw->tables[table], entry, params);
    edit_end(sw);
}

void p4_read_entry(struct p4 *sw, uint32_t table, const struct p4_entry *entry, uint64_t *packets, uint64_t *bytes,
                   uint64_t *hit_us) {
    edit_begin(sw);
    if (!entry) entry = sw->tables[table].fallback;
    *packets = entry->packets;
    *bytes = entry->bytes;
    *hit_us = entry->hit_us;
    edit_end(sw);
}

void p4_edit_entry_counter(struct p4 *sw, uint32_t table, struct p4_entry *entry, uint64_t packets, uint64_t bytes) {
    edit_begin(sw);
    if (!entry) entry = sw->tables[table].fallback;
    entry->packets = packets;
    entry->bytes = bytes;
    edit_end(sw);
}

void p4_edit_touch(struct p4 *sw, struct p4_entry *entry, uint64_t now_us) {
    edit_begin(sw);
    entry->hit_us = now_us;
    edit_end(sw);
}

struct p4_meter *p4_entry_meter(struct p4 *sw, uint32_t table, struct p4_entry *entry) {
    return entry ? entry->meter : sw->tables[table].fallback->meter;
}

struct p4_meter *p4_array_meter(struct p4 *sw, uint32_t meter, uint32_t index) { return &sw->meters[meter][index]; }

void p4_edit_meter(struct p4 *sw, struct p4_meter *meter, bool configured, uint64_t cir, uint64_t cburst, uint64_t pir,
                   uint64_t pburst) {
    edit_begin(sw);
    memset(meter, 0, sizeof *meter);
    meter->configured = configured;
    meter->rate[0] = pir;
    meter->burst[0] = meter->tokens[0] = pburst;
    meter->rate[1] = cir;
    meter->burst[1] = meter->tokens[1] = cburst;
    edit_end(sw);
}

void p4_read_counters(struct p4 *sw, uint32_t counter, uint32_t from, uint32_t count, struct p4_counter *cells) {
    edit_begin(sw);
    memcpy(cells, sw->counters[counter] + from, count * sizeof *cells);
    edit_end(sw);
}

void p4_edit_counter(struct p4 *sw, uint32_t counter, uint32_t index, uint64_t packets, uint64_t bytes) {
    edit_begin(sw);
    sw->counters[counter][index] = (struct p4_counter){packets, bytes};
    edit_end(sw);
}

void p4_read_registers(struct p4 *sw, uint32_t reg, uint32_t from, uint32_t count, uint64_t *cells) {
    size_t words = sw->program->reg[reg].words;
    edit_begin(sw);
    memcpy(cells, sw->registers[reg] + from * words, count * words * sizeof *cells);
    edit_end(sw);
}

void p4_edit_register(struct p4 *sw, uint32_t reg, uint32_t index, const uint64_t *cell) {
    size_t words = sw->program->reg[reg].words;
    edit_begin(sw);
    memcpy(sw->registers[reg] + index * words, cell, words * sizeof *cell);
    edit_end(sw);
}

bool p4_edit_value_set(struct p4 *sw, uint32_t set, uint32_t count, const uint64_t *members) {
    size_t size = (size_t)count * sw->value_sets[set].words * sizeof *members;
    uint64_t *copy = malloc(size + 1);
    if (!copy) return false;
    memcpy(copy, members, size);
    edit_begin(sw);
    uint64_t *old = sw->value_sets[set].members;
    sw->value_sets[set].members = copy;
    sw->value_sets[set].count = count;
    edit_end(sw);
    free(old);
    return true;
}

/* Set a multicast group (session false) or clone session; count and truncate 0 with NULL replicas: delete it. */
bool p4_edit_replicas(struct p4 *sw, bool session, uint32_t id, uint32_t count, const struct p4_replica *replicas,
                      uint32_t truncate) {
    struct p4_replicas *set = NULL, **place = session ? &sw->sessions[id] : &sw->groups[id];
    if (replicas) {
        set = malloc(sizeof *set + count * sizeof *replicas);
        if (!set) return false;
        set->count = count;
        set->truncate = truncate;
        memcpy(set->replica, replicas, count * sizeof *replicas);
    }
    edit_begin(sw);
    struct p4_replicas *old = *place;
    *place = set;
    edit_end(sw);
    free(old);
    return true;
}

/* Action profiles: members and groups are made first and then pointed to by entries. */
struct p4_call *p4_new_member(uint32_t params) { return calloc(1, sizeof(struct p4_call) + params * sizeof(uint64_t)); }

void p4_edit_member(struct p4 *sw, struct p4_call *member, uint32_t action, uint32_t words, const uint64_t *params) {
    edit_begin(sw);
    member->action = action;
    memcpy(member->params, params, words * sizeof *params);
    edit_end(sw);
}

struct p4_group *p4_new_group(void) { return calloc(1, sizeof(struct p4_group)); }

bool p4_edit_group(struct p4 *sw, struct p4_group *group, uint32_t count, struct p4_call *const *members) {
    struct p4_call **copy = malloc((count + 1) * sizeof *copy);
    if (!copy) return false;
    memcpy(copy, members, count * sizeof *copy);
    edit_begin(sw);
    struct p4_call **old = group->members;
    group->count = count;
    group->members = copy;
    edit_end(sw);
    free(old);
    return true;
}

void p4_free_group(struct p4_group *group) {
    free(group->members);
    free(group);
}

void p4_free_member(struct p4_call *member) { free(member); }

void p4_free_block(void *block) { free(block); }
