/* The least that a forwarder in user space can be: frames from one interface to the other and back, unread.
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
#include <sys/socket.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum { BATCH = 64, ROOM = 2048 + 64, BUFFER = 4 << 20 };

static int open_socket(const char *name) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), one = 1, buffer = BUFFER;
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ALL),
                                  .sll_ifindex = (int)if_nametoindex(name)};
    struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
    if (fd < 0 || !address.sll_ifindex || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        fprintf(stderr, "forwarder: %s: %s\n", name, strerror(errno));
        return -1;
    }
    return fd;
}

static uint8_t frames[BATCH][ROOM];

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    struct pollfd ports[2] = {{.fd = open_socket(argv[1]), .events = POLLIN},
                              {.fd = open_socket(argv[2]), .events = POLLIN}};
    if (ports[0].fd < 0 || ports[1].fd < 0) return 1;
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    memset(messages, 0, sizeof messages);
    puts("ready");
    fflush(stdout);
    for (;;) {
        poll(ports, 2, -1);
        for (int from = 0; from < 2; from++) {
            if (!ports[from].revents) continue;
            for (int i = 0; i < BATCH; i++) {
                vectors[i] = (struct iovec){frames[i], sizeof frames[i]};
                messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
            }
            int n = recvmmsg(ports[from].fd, messages, BATCH, MSG_DONTWAIT, NULL);
            for (int i = 0; i < n; i++) vectors[i].iov_len = messages[i].msg_len;
            for (int sent = 0; sent < n;) {
                int now = sendmmsg(ports[1 - from].fd, messages + sent, (unsigned)(n - sent), MSG_DONTWAIT);
                sent += now > 0 ? now : 1; /* what is not taken is lost */
            }
        }
    }
}
