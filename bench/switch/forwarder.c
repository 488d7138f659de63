/* The least that a forwarder in user space can be: frames from one interface to the other and back, unread. They come
 * in and leave through rings that the kernel shares with this process (TPACKET_V2).
 *
 *   forwarder IFACE IFACE */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

/* PLACE: bytes for a frame, an odd number of cache lines. */
enum { BATCH = 64, BUFFER = 4 << 20, PLACE = 1728, BLOCK = 1 << 16, PER_BLOCK = BLOCK / PLACE };
enum { IN_BLOCKS = 56, OUT_BLOCKS = 8, OUT_AT = TPACKET2_HDRLEN - sizeof(struct sockaddr_ll) };

struct port {
    int in, out;
    uint8_t *in_ring, *out_ring;
    unsigned next_in, next_out;
};

static int attached(const char *name, int protocol, int option, unsigned blocks, uint8_t **ring) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), one = 1, buffer = BUFFER, version = TPACKET_V2;
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons((uint16_t)protocol),
                                  .sll_ifindex = (int)if_nametoindex(name)};
    struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    struct tpacket_req request = {BLOCK, blocks, PLACE, PER_BLOCK * blocks};
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version);
    if (option == PACKET_TX_RING) setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one);
    void *mapped = MAP_FAILED;
    if (fd >= 0 && setsockopt(fd, SOL_PACKET, option, &request, sizeof request) == 0)
        mapped = mmap(NULL, BLOCK * blocks, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED || !address.sll_ifindex || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        fprintf(stderr, "forwarder: %s: %s\n", name, strerror(errno));
        return -1;
    }
    *ring = mapped;
    return fd;
}

static int open_port(struct port *port, const char *name) {
    port->in = attached(name, ETH_P_ALL, PACKET_RX_RING, IN_BLOCKS, &port->in_ring);
    port->out = attached(name, 0, PACKET_TX_RING, OUT_BLOCKS, &port->out_ring);
    return port->in >= 0 && port->out >= 0;
}

static struct tpacket2_hdr *place(uint8_t *ring, unsigned at) {
    return (void *)(ring + at / PER_BLOCK * BLOCK + at % PER_BLOCK * PLACE);
}

/* How many frames were passed on, or lost because they were not taken. */
static unsigned forward(struct port *from, struct port *to) {
    unsigned n = 0;
    for (; n < BATCH; n++) {
        struct tpacket2_hdr *in = place(from->in_ring, from->next_in), *out = place(to->out_ring, to->next_out);
        if (!(__atomic_load_n(&in->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) break;
        if (__atomic_load_n(&out->tp_status, __ATOMIC_ACQUIRE) == TP_STATUS_AVAILABLE) {
            /* Of no use but that the kernel copies the whole frame at once. */
            struct virtio_net_hdr offloads = {.hdr_len = (uint16_t)in->tp_snaplen};
            memcpy((uint8_t *)out + OUT_AT, &offloads, sizeof offloads);
            memcpy((uint8_t *)out + OUT_AT + sizeof offloads, (uint8_t *)in + in->tp_mac, in->tp_snaplen);
            out->tp_len = in->tp_snaplen + sizeof offloads;
            __atomic_store_n(&out->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
            to->next_out = (to->next_out + 1) % (PER_BLOCK * OUT_BLOCKS);
        }
        __atomic_store_n(&in->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        from->next_in = (from->next_in + 1) % (PER_BLOCK * IN_BLOCKS);
    }
    if (n) send(to->out, NULL, 0, MSG_DONTWAIT);
    return n;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    struct port ports[2] = {0};
    if (!open_port(&ports[0], argv[1]) || !open_port(&ports[1], argv[2])) return 1;
    struct pollfd waits[2] = {{.fd = ports[0].in, .events = POLLIN}, {.fd = ports[1].in, .events = POLLIN}};
    puts("ready");
    fflush(stdout);
    for (;;)
        if (forward(&ports[0], &ports[1]) + forward(&ports[1], &ports[0]) == 0) poll(waits, 2, -1);
}
