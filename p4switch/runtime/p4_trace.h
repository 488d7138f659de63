/* What a program built with -DP4_TRACE tells of a packet's way. In other builds the macros are nothing.
 *
 * Each event is a record of kind P4_TRACED whose number is the event, and whose body is: a number and a count of
 * words (64 bits each), the words, then bytes: the packet's state (struct packet) as it was just then, or a frame. */
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
    P4_TRACE_LOST,      /* number: enum p4_trace_lost; words: the limit that was met, 0 for memory */
    P4_TRACE_END,       /* words: what was left out, see struct p4_trace_rest */
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

/* How Python finds a field in the bytes of a struct packet. */
struct p4_trace_field {
    const char *name;
    uint32_t offset, width; /* bytes; bits */
    uint32_t kind;          /* 0: a field, 1: a header's validity, 2: a varbit field */
};

static struct p4_trace_filter p4_trace_filter;
static uint64_t p4_trace_next_us;
static bool p4_traced;

/* Of the present frame: how many events may still be told, and what became of the others. */
static struct p4_trace_rest {
    uint64_t left, events, rounds, sent;
    uint64_t lost; /* the last one's enum p4_trace_lost, and 1; 0 for none */
    uint64_t limit;
} p4_trace_rest;

/* Between packets only. */
void p4_trace_use(const struct p4_trace_filter *filter) {
    p4_trace_filter = *filter;
    p4_trace_next_us = 0;
}

static bool p4_trace_wanted(const uint8_t *frame, uint32_t size, uint64_t now_us) {
    if (now_us < p4_trace_next_us) return false;
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

static void p4_trace(struct p4 *sw, uint32_t event, uint64_t number, uint32_t count, const uint64_t *words,
                     const void *bytes, uint32_t size) {
    if (!p4_traced) return;
    if (event != P4_TRACE_BEGIN && event != P4_TRACE_END && !p4_trace_has_room(event, number, words)) return;
    uint64_t *body = p4_record(sw, P4_TRACED, event, 16 + 8 * count + size);
    if (!body) return;
    body[0] = number;
    body[1] = count;
    if (count) memcpy(body + 2, words, 8 * count);
    if (size) memcpy(body + 2 + count, bytes, size);
}

static void p4_trace_table(struct p4 *sw, const struct p4_packet *p, uint32_t table, const uint64_t *fixed,
                           const uint64_t *key, const uint64_t *params, uint32_t count) {
    uint64_t words[4 + 1024];
    uint32_t key_words = (uint32_t)fixed[3];
    if (key_words + count > 1024) return;
    memcpy(words, fixed, 4 * sizeof *fixed);
    if (key_words) memcpy(words + 4, key, key_words * sizeof *key);
    if (count) memcpy(words + 4 + key_words, params, count * sizeof *params);
    p4_trace(sw, P4_TRACE_TABLE, table, 4 + key_words + count, words, p, sw->program->packet_size);
}

static void p4_trace_sent(struct p4 *sw, uint32_t port, uint32_t size) {
    size_t padded = ((size_t)size + 7) / 8 * 8, at = sw->out.size - padded;
    if (!p4_traced || !p4_trace_has_room(P4_TRACE_SENT, port, NULL)) return;
    uint64_t *body = p4_record(sw, P4_TRACED, P4_TRACE_SENT, 16 + size);
    if (!body) return;
    body[0] = port;
    body[1] = 0;
    memcpy(body + 2, sw->out.data + at, size);
}

static void p4_trace_begin(void) {
    p4_trace_rest = (struct p4_trace_rest){.left = p4_trace_filter.most ? p4_trace_filter.most : UINT64_MAX};
}

static void p4_trace_end(struct p4 *sw) {
    const struct p4_trace_rest *rest = &p4_trace_rest;
    const uint64_t words[] = {rest->events, rest->rounds, rest->sent, rest->lost, rest->limit};
    p4_trace(sw, P4_TRACE_END, 0, 5, words, NULL, 0);
}

static void p4_trace_lost(struct p4 *sw, enum p4_trace_lost why, uint64_t limit) {
    p4_trace(sw, P4_TRACE_LOST, why, 1, &limit, NULL, 0);
}

/* A copy of a packet that could not be had. */
static void p4_trace_no_copy(struct p4 *sw, const struct p4_packet *from) {
    if (from->round >= P4_MAX_ROUNDS) p4_trace_lost(sw, P4_LOST_ROUNDS, P4_MAX_ROUNDS);
    else if (sw->budget == 0) p4_trace_lost(sw, P4_LOST_PACKETS, P4_MAX_JOBS);
    else p4_trace_lost(sw, P4_LOST_MEMORY, 0);
}

#define TRACE_WORDS(...) ((const uint64_t[]){0, ##__VA_ARGS__})
#define TRACE(event, number, ...)                                                                                \
    p4_trace(sw, P4_TRACE_##event, number, sizeof TRACE_WORDS(__VA_ARGS__) / 8 - 1, TRACE_WORDS(__VA_ARGS__) + 1, \
             p, sw->program->packet_size)
#define TRACE_FRAME(event, number, frame, size, ...) \
    p4_trace(sw, P4_TRACE_##event, number, sizeof TRACE_WORDS(__VA_ARGS__) / 8 - 1, TRACE_WORDS(__VA_ARGS__) + 1, frame, size)
#define TRACE_TABLE(number, action, key, key_words, params, count)                                                        \
    p4_trace_table(sw, &p->base, number, (const uint64_t[]){*hit, (uintptr_t)entry, action, key_words}, key, params, \
                   count)
#define TRACE_BEGIN(port, frame, size, now_us)                \
    do {                                                      \
        p4_traced = p4_trace_wanted(frame, size, now_us);     \
        p4_trace_begin();                                     \
        TRACE_FRAME(BEGIN, port, frame, size, now_us);        \
    } while (0)
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
#define TRACE_FRAME(...) ((void)0)
#define TRACE_TABLE(...) ((void)0)
#define TRACE_BEGIN(...) ((void)0)

#endif

#endif
