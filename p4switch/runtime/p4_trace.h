/* What a program built with -DP4_TRACE tells of a packet's way. In other builds the macros are nothing.
 *
 * Each event is a record of kind P4_TRACED whose number is the event, and whose body is: a number and a count of
 * words (64 bits each), the words, then a frame (BEGIN, SENT), or what the packet's fields (struct packet) have become
 * since the event before: pairs of a word's place and the word, BEGIN being all zeros. A header that has become valid
 * is told whole. What fields are is in p4_trace_fields; nothing else is told. */
#ifndef P4_TRACE_H
#define P4_TRACE_H

#include "p4_switch.h"

enum p4_trace_event {
    P4_TRACE_BEGIN = 1, /* number: port; words: now_us; bytes: the frame */
    P4_TRACE_ENTER,     /* the packet enters the parser */
    P4_TRACE_STATE,     /* number: parser state, by position */
    P4_TRACE_PARSED,    /* number: parser error */
    P4_TRACE_INGRESS,   /* words: checksum error */
    P4_TRACE_CONDITION, /* number: conditional by position, ingress' first; words: its value */
    P4_TRACE_TABLE,     /* number: table by position; words: hit, entry, action, words of the key, key, parameters */
    P4_TRACE_ACTION,    /* number: action id; an action outside tables */
    P4_TRACE_FATE,      /* after ingress; words: dropped, resubmit, multicast group, egress_spec, clone, digest */
    P4_TRACE_EGRESS,    /* number: port */
    P4_TRACE_LEFT,      /* after egress; number: port; words: dropped, egress_spec, clone, recirculate */
    P4_TRACE_DEPARSE,   /* checksums are up to date */
    P4_TRACE_SENT,      /* number: port; bytes: the frame */
    P4_TRACE_LOST,      /* number: enum p4_trace_lost; words: the limit that was met, 0 for memory; no fields */
    P4_TRACE_END,       /* words: what was left out, see struct p4_trace_rest; no fields */
};

enum p4_trace_lost { P4_LOST_ROUNDS, P4_LOST_PACKETS, P4_LOST_LENGTH, P4_LOST_MEMORY };

#ifdef P4_TRACE

enum { P4_TRACE_TERMS = 8, P4_TRACE_ALTERNATIVES = 8 };

/* Which frames: those for which all terms of one alternative hold (none: all frames). A term compares 16 bits. */
struct p4_trace_filter {
    uint32_t alternatives;
    uint32_t gap_us; /* least time between two traced packets */
    uint32_t most;   /* events of one frame, 0 for any number: a packet may go round a thousand times */
    struct {
        uint32_t terms;
        struct {
            uint32_t offset;
            uint16_t mask, value;
        } term[P4_TRACE_TERMS];
    } alternative[P4_TRACE_ALTERNATIVES];
};

/* Where a field stands in a struct packet. */
struct p4_trace_field {
    const char *name;
    uint32_t offset, width; /* bytes; bits */
    uint32_t kind;          /* 0: a field, 1: a header's validity, 2: a varbit field */
    uint32_t words;         /* in which it stands */
    uint32_t validity;      /* where the validity of the field's header stands; 0: it is no header's, or is that itself */
};

extern const struct p4_trace_field p4_trace_fields[]; /* up to one without a name */

static struct p4_trace_filter p4_trace_filter;
static uint64_t p4_trace_next_us;
static bool p4_traced;

/* Of the present frame: how many events may still be told, and what became of the others. */
static struct p4_trace_rest {
    uint64_t left, events, rounds, sent;
    uint64_t lost; /* the last one's enum p4_trace_lost, and 1; 0 for none */
    uint64_t limit;
} p4_trace_rest;

static uint64_t *p4_trace_told; /* a struct packet, as far as it was told */
static uint32_t p4_trace_room;  /* bytes for all words of all fields, as pairs */

/* Between packets only. */
void p4_trace_use(const struct p4_trace_filter *filter) {
    p4_trace_filter = *filter;
    p4_trace_next_us = 0;
    p4_trace_room = 0;
    for (const struct p4_trace_field *field = p4_trace_fields; field->name; field++) p4_trace_room += 16 * field->words;
}

static bool p4_trace_wanted(const uint8_t *frame, uint32_t size, uint64_t now_us) {
    if (p4_trace_filter.gap_us && now_us < p4_trace_next_us) return false;
    bool wanted = p4_trace_filter.alternatives == 0;
    for (uint32_t a = 0; a < p4_trace_filter.alternatives && !wanted; a++) {
        wanted = true;
        for (uint32_t t = 0; t < p4_trace_filter.alternative[a].terms && wanted; t++) {
            uint32_t at = p4_trace_filter.alternative[a].term[t].offset;
            uint16_t there = (uint16_t)(at + 2 > size ? 0 : frame[at] << 8 | frame[at + 1]);
            wanted = at + 2 <= size && (there & p4_trace_filter.alternative[a].term[t].mask) ==
                                           p4_trace_filter.alternative[a].term[t].value;
        }
    }
    if (wanted) p4_trace_next_us = now_us + p4_trace_filter.gap_us;
    return wanted;
}

static bool p4_trace_has_room(uint32_t event, uint64_t number, const uint64_t *words) {
    if (p4_trace_rest.left > 0) {
        p4_trace_rest.left--;
        return true;
    }
    p4_trace_rest.events++;
    p4_trace_rest.rounds += event == P4_TRACE_ENTER;
    p4_trace_rest.sent += event == P4_TRACE_SENT;
    if (event == P4_TRACE_LOST) {
        p4_trace_rest.lost = number + 1;
        p4_trace_rest.limit = words[0];
    }
    return false;
}

/* The event's head, and room for `size` bytes behind it; NULL if it is not to be told. */
static uint64_t *p4_trace(struct p4 *sw, uint32_t event, uint64_t number, uint32_t count, const uint64_t *words,
                          uint32_t size) {
    if (!p4_traced) return NULL;
    if (event != P4_TRACE_BEGIN && event != P4_TRACE_END && !p4_trace_has_room(event, number, words)) return NULL;
    uint64_t *body = p4_record(sw, P4_TRACED, event, 16 + 8 * count + size);
    if (!body) {
        p4_traced = false; /* what follows would be told of the wrong fields */
        return NULL;
    }
    body[0] = number;
    body[1] = count;
    if (count) memcpy(body + 2, words, 8 * count);
    return body + 2 + count;
}

/* Words that fields take and that have changed, as pairs of their places and themselves. Returns the end of the pairs. */
static uint64_t *p4_trace_changes(uint64_t *pairs, const uint64_t *now) {
    const uint8_t *before = (const void *)p4_trace_told, *valid = (const void *)now;
    for (const struct p4_trace_field *field = p4_trace_fields; field->name; field++) {
        bool anew = field->validity && valid[field->validity] && !before[field->validity];
        uint32_t first = field->offset / 8;
        for (uint32_t word = first; word < first + field->words; word++) {
            if (!anew && now[word] == p4_trace_told[word]) continue;
            *pairs++ = word;
            *pairs++ = now[word];
        }
    }
    return pairs;
}

/* An event, with what has changed in a struct packet. */
static void p4_trace_state(struct p4 *sw, uint32_t event, uint64_t number, uint32_t count, const uint64_t *words,
                           const void *packet) {
    size_t size = sw->program->packet_size, from = sizeof(struct p4_packet);
    bool same = p4_traced && memcmp((const uint8_t *)p4_trace_told + from, (const uint8_t *)packet + from, size - from) == 0;
    uint32_t room = same ? 0 : p4_trace_room;
    uint64_t *pairs = p4_trace(sw, event, number, count, words, room);
    if (!pairs || same) return;
    uint32_t unused = room - 8 * (uint32_t)(p4_trace_changes(pairs, packet) - pairs);
    memcpy(p4_trace_told, packet, size);
    sw->out.size -= unused;
    ((struct p4_record *)(void *)(pairs - count - 2))[-1].size -= unused;
}

static void p4_trace_table(struct p4 *sw, const struct p4_packet *p, uint32_t table, const uint64_t *fixed,
                           const uint64_t *key, const uint64_t *params, uint32_t count) {
    uint64_t words[4 + 1024];
    uint32_t key_words = (uint32_t)fixed[3];
    if (key_words + count > 1024) return;
    memcpy(words, fixed, 4 * sizeof *fixed);
    if (key_words) memcpy(words + 4, key, key_words * sizeof *key);
    if (count) memcpy(words + 4 + key_words, params, count * sizeof *params);
    p4_trace_state(sw, P4_TRACE_TABLE, table, 4 + key_words + count, words, p);
}

static void p4_trace_sent(struct p4 *sw, uint32_t port, uint32_t size) {
    size_t padded = ((size_t)size + 7) / 8 * 8, at = sw->out.size - padded;
    uint64_t *frame = p4_trace(sw, P4_TRACE_SENT, port, 0, NULL, size);
    if (frame) memcpy(frame, sw->out.data + at, size);
}

static void p4_trace_begin(struct p4 *sw, uint32_t port, const uint8_t *frame, uint32_t size, uint64_t now_us) {
    size_t packet = sw->program->packet_size;
    p4_traced = p4_trace_wanted(frame, size, now_us);
    if (p4_traced && !p4_trace_told) p4_traced = (p4_trace_told = malloc(packet)) != NULL;
    if (!p4_traced) return;
    memset(p4_trace_told, 0, packet);
    p4_trace_rest = (struct p4_trace_rest){.left = p4_trace_filter.most ? p4_trace_filter.most : UINT64_MAX};
    uint64_t *told = p4_trace(sw, P4_TRACE_BEGIN, port, 1, &now_us, size);
    if (told) memcpy(told, frame, size);
}

static void p4_trace_end(struct p4 *sw) {
    const struct p4_trace_rest *rest = &p4_trace_rest;
    const uint64_t words[] = {rest->events, rest->rounds, rest->sent, rest->lost, rest->limit};
    p4_trace(sw, P4_TRACE_END, 0, 5, words, 0);
}

static void p4_trace_lost(struct p4 *sw, enum p4_trace_lost why, uint64_t limit) {
    p4_trace(sw, P4_TRACE_LOST, why, 1, &limit, 0);
}

/* A copy of a packet that could not be had. */
static void p4_trace_no_copy(struct p4 *sw, const struct p4_packet *from) {
    if (from->round >= P4_MAX_ROUNDS) p4_trace_lost(sw, P4_LOST_ROUNDS, P4_MAX_ROUNDS);
    else if (sw->budget == 0) p4_trace_lost(sw, P4_LOST_PACKETS, P4_MAX_JOBS);
    else p4_trace_lost(sw, P4_LOST_MEMORY, 0);
}

#define TRACE_WORDS(...) ((const uint64_t[]){0, ##__VA_ARGS__})
#define TRACE(event, number, ...)                                                                              \
    p4_trace_state(sw, P4_TRACE_##event, number, sizeof TRACE_WORDS(__VA_ARGS__) / 8 - 1, TRACE_WORDS(__VA_ARGS__) + 1, p)
#define TRACE_TABLE(number, action, key, key_words, params, count)                                                        \
    p4_trace_table(sw, &p->base, number, (const uint64_t[]){*hit, (uintptr_t)entry, action, key_words}, key, params, \
                   count)
#define TRACE_BEGIN(port, frame, size, now_us) p4_trace_begin(sw, port, frame, size, now_us)
/* The frame is the newest record's body, which may have moved if the records' room grew. */
#define TRACE_SENT(port, size) p4_trace_sent(sw, port, size)
#define TRACE_LOST(why, limit) p4_trace_lost(sw, P4_LOST_##why, limit)
#define TRACE_NO_COPY(from) p4_trace_no_copy(sw, from)
#define TRACE_END()                     \
    do {                                \
        if (!sw->first) p4_trace_end(sw); \
    } while (0)

#else

#define TRACE_SENT(...) ((void)0)
#define TRACE_LOST(...) ((void)0)
#define TRACE_NO_COPY(...) ((void)0)
#define TRACE_END() ((void)0)
#define TRACE(...) ((void)0)
#define TRACE_TABLE(...) ((void)0)
#define TRACE_BEGIN(...) ((void)0)

#endif

#endif
