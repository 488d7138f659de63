/* The least that a forwarder in user space can be: frames from one interface to the other and back, unread. They come
 * in through a ring that the kernel shares with this process (TPACKET_V2), and leave from there.
 *
 *   forwarder IFACE IFACE */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
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
enum { BATCH = 64, BUFFER = 4 << 20, PLACE = 1728, BLOCK = 1 << 16, PER_BLOCK = BLOCK / PLACE, BLOCKS = 56 };

struct port {
    int fd;
    uint8_t *ring;
    unsigned next;
};

static int open_port(struct port *port, const char *name) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), one = 1, buffer = BUFFER, version = TPACKET_V2;
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ALL),
                                  .sll_ifindex = (int)if_nametoindex(name)};
    struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    struct tpacket_req ring = {BLOCK, BLOCKS, PLACE, PER_BLOCK * BLOCKS};
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version);
    void *mapped = MAP_FAILED;
    if (fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) == 0)
        mapped = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED || !address.sll_ifindex || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        fprintf(stderr, "forwarder: %s: %s\n", name, strerror(errno));
        return 0;
    }
    *port = (struct port){fd, mapped, 0};
    return 1;
}

/* How many frames were passed on, or lost because they were not taken. */
static unsigned forward(struct port *from, const struct port *to) {
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    struct tpacket2_hdr *heads[BATCH];
    unsigned n = 0, at = from->next;
    for (; n < BATCH; n++) {
        struct tpacket2_hdr *head = (void *)(from->ring + at / PER_BLOCK * BLOCK + at % PER_BLOCK * PLACE);
        if (!(__atomic_load_n(&head->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) break;
        vectors[n] = (struct iovec){(uint8_t *)head + head->tp_mac, head->tp_snaplen};
        messages[n].msg_hdr = (struct msghdr){.msg_iov = &vectors[n], .msg_iovlen = 1};
        heads[n] = head;
        at = (at + 1) % (PER_BLOCK * BLOCKS);
    }
    for (unsigned sent = 0; sent < n;) {
        int now = sendmmsg(to->fd, messages + sent, n - sent, MSG_DONTWAIT);
        sent += now > 0 ? (unsigned)now : 1;
    }
    for (unsigned i = 0; i < n; i++) __atomic_store_n(&heads[i]->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    from->next = at;
    return n;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    struct port ports[2];
    if (!open_port(&ports[0], argv[1]) || !open_port(&ports[1], argv[2])) return 1;
    struct pollfd waits[2] = {{.fd = ports[0].fd, .events = POLLIN}, {.fd = ports[1].fd, .events = POLLIN}};
    puts("ready");
    fflush(stdout);
    for (;;)
        if (forward(&ports[0], &ports[1]) + forward(&ports[1], &ports[0]) == 0) poll(waits, 2, -1);
}
