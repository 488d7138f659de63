/* v1model as simple_switch does it: a packet's way from a port through parser and ingress to what the traffic manager
 * makes of it, and from there through egress and deparser out of a port, or around again.
 *
 * The generated step.c includes this once, behind the program's own parts. What is used of these is declared first. */
#ifndef P4_V1MODEL_H
#define P4_V1MODEL_H

#include "p4_switch.h"
#include "p4_trace.h"

/* The program's blocks. */
static void parse(struct p4 *sw, struct packet *p);
static void verify_checksums(struct p4 *sw, struct packet *p);
static void ingress(struct p4 *sw, struct packet *p);
static void egress(struct p4 *sw, struct packet *p);
static void update_checksums(struct p4 *sw, struct packet *p);
static void before_deparsing(struct p4 *sw, struct packet *p);
static uint32_t deparsed_size(const struct packet *p);
static void deparse(const struct packet *p, uint8_t *d);

/* Its metadata as a whole. */
static void clear_packet(struct packet *p);
static void reset_metadata(struct packet *p);
static void keep_fields(uint32_t list, struct packet *to, const struct packet *from);
static void send_digest(struct p4 *sw, struct packet *p);

/* Its standard metadata, cut to their widths. A field that it does not have reads as 0, and is set to no effect. */
static uint64_t ingress_port_of(const struct packet *p);
static uint64_t egress_spec_of(const struct packet *p);
static uint64_t mcast_grp_of(const struct packet *p);
static void set_ingress_port(struct packet *p, uint64_t value);
static void set_ingress_global_timestamp(struct packet *p, uint64_t value);
static void set_parser_error(struct packet *p, uint64_t value);
static void set_checksum_error(struct packet *p, uint64_t value);
static void set_instance_type(struct packet *p, uint64_t value);
static void set_packet_length(struct packet *p, uint64_t value);
static void set_egress_rid(struct packet *p, uint64_t value);
static void set_egress_port(struct packet *p, uint64_t value);
static void set_egress_spec(struct packet *p, uint64_t value);
static void set_egress_global_timestamp(struct packet *p, uint64_t value);
static void set_enq_timestamp(struct packet *p, uint64_t value);
static void set_enq_qdepth(struct packet *p, uint64_t value);
static void set_deq_timedelta(struct packet *p, uint64_t value);
static void set_deq_qdepth(struct packet *p, uint64_t value);
/* How many packets wait at a port; 0 for a program that does not ask. */
static uint64_t queue_depth(struct p4 *sw, uint32_t port);

/* A packet at the beginning of its way, from a frame. `length` is what counters and byte meters count. */
static inline void begin_packet(struct packet *p, const uint8_t *frame, uint32_t size, uint32_t length) {
    clear_packet(p);
    p->base.frame = frame;
    p->base.frame_size = size;
    p->base.length = p->base.ingress_length = length;
    p->base.truncate = UINT32_MAX;
}

/* A copy that waits until this packet has come to its end: for another round, or at egress. NULL: no more may be made. */
static struct packet *later(struct p4 *sw, const struct packet *from, bool at_egress, uint32_t port) {
    struct packet *p = (struct packet *)(void *)p4_queue(sw, &from->base, at_egress, port);
    if (!p) TRACE_NO_COPY(&from->base);
    return p;
}

/* Whether one frame may become one more packet. */
static bool may_copy(struct p4 *sw, const struct packet *from) {
    if (sw->budget == 0) {
        TRACE_NO_COPY(&from->base);
        return false;
    }
    sw->budget--;
    return true;
}

/* Egress, and the way out ------------------------------------------------------------------------------------------ */

/* The deparsed frame enters at the parser again, with the fields of the list that `recirculate` named. */
static void recirculate(struct p4 *sw, const struct packet *from, const uint8_t *frame, uint32_t size) {
    struct packet *p = later(sw, from, false, 0);
    if (!p) return;
    uint32_t round = p->base.round;
    begin_packet(p, frame, size, size);
    keep_fields(from->base.recirculate, p, from);
    p->base.round = round;
    set_instance_type(p, P4_RECIRCULATED);
    set_packet_length(p, size);
}

/* For each replica of the session the packet as it is after egress, its metadata new but for the list's fields, at the
 * beginning of egress. */
static void clone_at_egress(struct p4 *sw, const struct packet *from, const struct p4_replicas *session) {
    for (uint32_t i = 0; i < session->count; i++) {
        const struct p4_replica *replica = &session->replica[i];
        struct packet *p = later(sw, from, true, replica->port);
        if (!p) return;
        reset_metadata(p);
        keep_fields(from->base.clone_list, p, from);
        p->base.clone_session = p->base.recirculate = p->base.resubmit = p->base.digest = 0;
        p->base.exit = p->base.dropped = false;
        p->base.truncate = session->truncate ? session->truncate : UINT32_MAX;
        set_instance_type(p, P4_EGRESS_CLONE);
        set_egress_rid(p, replica->instance);
    }
}

/* Deparsed headers and what the parser left over: out of the port, cut to what `truncate` said, or around again. */
static void transmit(struct p4 *sw, struct packet *p, uint32_t port) {
    uint32_t head = deparsed_size(p), rest = p->base.frame_size - p->base.parsed;
    if (head > P4_MAX_HEADERS || head + rest > P4_MAX_FRAME) {
        TRACE_LOST(LENGTH, head > P4_MAX_HEADERS ? P4_MAX_HEADERS : P4_MAX_FRAME);
        return;
    }
    /* What goes around again is whole, as on BMv2; so are multicast copies and clones. */
    uint32_t size = p->base.recirculate ? head + rest : (uint32_t)p4_umin(head + rest, p->base.truncate);
    uint8_t *d;
    if (p->base.recirculate) d = p4_arena(sw, head + rest);
    else if (size == head + rest) d = p4_emit(sw, port, size);
    else d = sw->scratch;
    if (!d) {
        TRACE_LOST(MEMORY, 0);
        return;
    }
    deparse(p, d);
    if (rest) memcpy(d + head, p->base.frame + p->base.parsed, rest);
    if (p->base.recirculate) recirculate(sw, p, d, size);
    else if (d == sw->scratch && (d = p4_emit(sw, port, size))) memcpy(d, sw->scratch, size);
    if (!p->base.recirculate && d) TRACE_SENT(port, size);
}

/* From the traffic manager on. The packet is used up. */
static void leave(struct p4 *sw, struct packet *p, uint32_t port) {
    p->base.exit = false;
    set_egress_global_timestamp(p, sw->now_us);
    set_enq_timestamp(p, sw->now_us);
    uint64_t depth = queue_depth(sw, port);
    set_enq_qdepth(p, depth);
    set_deq_timedelta(p, 0);
    set_deq_qdepth(p, depth);
    set_egress_port(p, port);
    set_egress_spec(p, P4_DROP_PORT + 1);
    set_packet_length(p, p->base.length);
    TRACE(EGRESS, port);
    egress(sw, p);
    TRACE(LEFT, port, p->base.dropped, egress_spec_of(p), p->base.clone_session, p->base.recirculate);
    if (p->base.clone_session) {
        const struct p4_replicas *session = sw->sessions[p->base.clone_session - 1];
        if (session) clone_at_egress(sw, p, session);
    }
    if (egress_spec_of(p) == P4_DROP_PORT || p->base.dropped) return;
    update_checksums(sw, p);
    before_deparsing(sw, p);
    TRACE(DEPARSE, port);
    transmit(sw, p, port);
}

/* Ingress, and the traffic manager ---------------------------------------------------------------------------------- */

/* For each replica of the session the packet as it came in, parsed anew, with the list's fields, to egress. */
static void clone_at_ingress(struct p4 *sw, const struct packet *from, const struct p4_replicas *session) {
    struct packet *p = (struct packet *)(void *)sw->packets[1];
    for (uint32_t i = 0; i < session->count; i++) {
        const struct p4_replica *replica = &session->replica[i];
        if (!may_copy(sw, from)) return;
        begin_packet(p, from->base.frame, from->base.frame_size, from->base.ingress_length);
        p->base.round = from->base.round;
        p->base.truncate = session->truncate ? session->truncate : UINT32_MAX;
        set_ingress_port(p, ingress_port_of(from));
        parse(sw, p);
        verify_checksums(sw, p);
        reset_metadata(p);
        keep_fields(from->base.clone_list, p, from);
        set_instance_type(p, P4_INGRESS_CLONE);
        set_egress_rid(p, replica->instance);
        leave(sw, p, replica->port);
    }
}

/* The packet as it came in enters at the parser again, with the fields of the list that `resubmit` named. */
static void resubmit(struct p4 *sw, const struct packet *from) {
    struct packet *p = later(sw, from, false, 0);
    if (!p) return;
    uint32_t round = p->base.round;
    begin_packet(p, from->base.frame, from->base.frame_size, from->base.ingress_length);
    keep_fields(from->base.resubmit, p, from);
    p->base.round = round;
    set_instance_type(p, P4_RESUBMITTED);
    set_packet_length(p, p->base.ingress_length);
}

/* A copy of the packet as ingress left it to each replica of the group. The last one is the packet itself. */
static void multicast(struct p4 *sw, struct packet *from, uint64_t number) {
    const struct p4_replicas *group = number < 65536 ? sw->groups[number] : NULL;
    for (uint32_t i = 0; group && i < group->count; i++) {
        const struct p4_replica *replica = &group->replica[i];
        struct packet *p = from;
        if (!may_copy(sw, from)) return;
        if (i + 1 < group->count) {
            p = (struct packet *)(void *)sw->packets[2];
            p4_copy(p, from, sizeof *p);
        }
        p->base.clone_session = p->base.resubmit = p->base.recirculate = p->base.digest = 0;
        p->base.truncate = UINT32_MAX;
        set_instance_type(p, P4_REPLICATED);
        set_egress_rid(p, replica->instance);
        leave(sw, p, replica->port);
    }
}

/* Parser, ingress, and what the traffic manager makes of the packet: clones and a digest beside it; then it is dropped,
 * or begins anew, or goes to a group or a port. */
static void enter(struct p4 *sw, struct packet *p) {
    TRACE(ENTER, 0);
    parse(sw, p);
    verify_checksums(sw, p);
    set_parser_error(p, p->base.parser_error);
    set_checksum_error(p, p->base.checksum_error);
    TRACE(INGRESS, 0, p->base.checksum_error);
    ingress(sw, p);
    p->base.exit = false;
    TRACE(FATE, 0, p->base.dropped, p->base.resubmit, mcast_grp_of(p), egress_spec_of(p), p->base.clone_session,
          p->base.digest);
    if (p->base.clone_session) {
        const struct p4_replicas *session = sw->sessions[p->base.clone_session - 1];
        p->base.clone_session = 0;
        if (session) clone_at_ingress(sw, p, session);
    }
    if (p->base.digest) send_digest(sw, p);
    p->base.digest = 0;
    if (p->base.dropped) return;
    if (p->base.resubmit) {
        resubmit(sw, p);
    } else if (mcast_grp_of(p) != 0) {
        multicast(sw, p, mcast_grp_of(p));
    } else if (egress_spec_of(p) != P4_DROP_PORT) {
        set_instance_type(p, P4_NORMAL);
        leave(sw, p, (uint32_t)egress_spec_of(p));
    }
}

/* One frame to its end; what comes of it is added to sw->out. The caller has the lock. */
void p4_step(struct p4 *sw, uint32_t port, const uint8_t *frame, uint32_t size, uint64_t now_us, uint64_t random) {
    struct packet *p = (struct packet *)(void *)sw->packets[0];
    if (size > P4_MAX_FRAME) return;
    sw->now_us = now_us;
    sw->random = random;
    sw->budget = P4_MAX_JOBS;
    begin_packet(p, frame, size, size);
    set_ingress_port(p, port);
    set_packet_length(p, size);
    set_ingress_global_timestamp(p, now_us);
    TRACE_BEGIN(port, frame, size, now_us);
    enter(sw, p);
    TRACE_END();
    if (!sw->first) return;
    for (struct p4_job *job; (job = sw->first);) {
        sw->first = job->next;
        if (!sw->first) sw->last = NULL;
        if (job->egress) leave(sw, (struct packet *)(void *)job->packet, job->port);
        else enter(sw, (struct packet *)(void *)job->packet);
        TRACE_END();
    }
    p4_arena_reset(sw);
}

#endif
