/* A port of the packet loop: an interface, its packet sockets, and the rings that the kernel shares with this process.
 *
 * Frames come in through one (TPACKET_V2, Linux' packet_mmap.rst): who sends a frame copies it, and no system call
 * takes it out. One too long for its place in the ring waits in the socket's queue, in the same order. Frames leave
 * through another, many by one call. */
#ifndef P4_PORT_H
#define P4_PORT_H

#include <linux/if_packet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "p4_tables.h"

struct p4_port {
    uint32_t number;
    char name[IF_NAMESIZE];
    int in, out; /* -1: the interface is away */
    uint8_t *in_ring, *out_ring;
    bool large;        /* the rings have few places for long frames, not many for short ones */
    uint32_t in_places, out_places;
    uint32_t next_in;  /* place of the ring that is filled next */
    uint32_t next_out; /* place for the next frame */
    uint32_t pending, pending_bytes;
    bool behind; /* a frame found no place in the ring: those that come after it wait for it */
    uint32_t longest; /* bytes of a frame that goes through the ring */
    uint64_t rx, tx, rx_bytes, tx_bytes, rx_drops, tx_drops;
    uint64_t tx_too_long; /* of those dropped: longer than the interface's MTU allows */
    FILE *pcap_in, *pcap_out;
};

/* The port's sockets, bound, and their rings. False: errno says why not. */
bool p4_port_open(struct p4_port *port);
void p4_port_close(struct p4_port *port);

/* From time to time: open the port again if its interface is another one, or came back. */
void p4_port_check(struct p4_port *port);

/* Captures of what comes in and goes out, in a folder. False: errno says why not. */
bool p4_port_capture(struct p4_port *port, const char *folder);

/* The frames that wait, in their order, at most so many; how many there are. */
uint32_t p4_port_ready(const struct p4_port *port, struct tpacket2_hdr **ready, uint32_t most);

/* What the ring holds of one that is ready; nothing if that is not the frame as it will be seen. */
struct p4_frame p4_port_glimpse(const struct tpacket2_hdr *ready);

/* The frame of the first that is ready; its size, or 0 for one that is lost. `room`: for a frame too long for the
 * ring. The frame stays until it is released. */
uint32_t p4_port_frame(struct p4_port *port, struct tpacket2_hdr *first, uint8_t *room, uint8_t **frame);
void p4_port_release(struct p4_port *port, struct tpacket2_hdr *first);

/* Frames leave in the order in which they are given a place, and then those that are sent without one; what the
 * interface does not take is dropped and counted, and nothing blocks. `place` is NULL if there is none, from then on
 * until the end of the batch; else room to be filled before the next one is asked for. */
uint8_t *p4_port_place(struct p4_port *port, uint32_t size);
void p4_port_send(struct p4_port *port, const uint8_t *frame, uint32_t size);
void p4_port_end(struct p4_port *port);

/* About how many frames wait to leave: those in the ring, and those of the sockets that the interface's queueing
 * discipline still holds, by what the kernel keeps for a frame of the port's mean size. */
uint32_t p4_port_waiting(const struct p4_port *port);

/* An interface that goes down is told of as an error until it is asked for. */
void p4_port_take_error(const struct p4_port *port);

enum { P4_TAG = 4 /* bytes of a VLAN tag, which a frame's room must have before it */ };

#endif
