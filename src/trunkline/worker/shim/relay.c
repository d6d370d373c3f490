/* Ports inside that lead to the worker's: whoever connects to 127.0.0.1:PORT here speaks with a Unix socket of the
   worker's. So user code reaches its worker and the server from a container without a network. And the other way round:
   whoever comes to a listener that the worker handed over, in the network of its machine, speaks with a port inside. */

#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 64 << 10 };

static struct {
    int listener;
    const char *address; /* NULL: for a port inside */
    uint16_t port;
} relays[RELAYS];
static int relay_count;

/* What was read from one end and the other did not take yet. */
struct held {
    uint8_t bytes[BLOCK];
    size_t at, used;
    bool ended;
};

static struct joint {
    int ends[2];
    struct held *held[2]; /* held[i]: from ends[i], for the other end */
} joints[RELAYED];
static int joint_count;

bool open_relay(const char *told) {
    char *behind;
    unsigned long port = strtoul(told, &behind, 10);
    if (*behind != '=' || port > 65535 || !behind[1] || relay_count == RELAYS)
        return false;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0)
        return false;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 64) != 0) {
        close(listener);
        return false;
    }
    relays[relay_count].listener = listener;
    relays[relay_count++].address = behind + 1;
    return true;
}

/* A worker that comes back brings its listener again. */
void open_inward(int listener, uint16_t port) {
    int each = 0;
    while (each < relay_count && relays[each].address)
        each++;
    if (!port || each == RELAYS) {
        close(listener);
        return;
    }
    fcntl(listener, F_SETFL, O_NONBLOCK);
    if (each < relay_count)
        close(relays[each].listener);
    else
        relay_count++;
    relays[each].listener = listener;
    relays[each].address = NULL;
    relays[each].port = port;
}

/* A descriptor, or -1. On this machine's own address it takes no time. */
static int connect_by_port(uint16_t port) {
    const int on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int here = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (here >= 0 && connect(here, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        close(here);
        return -1;
    }
    if (here >= 0)
        setsockopt(here, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return here;
}

static void drop(int number) {
    for (int side = 0; side < 2; side++) {
        close(joints[number].ends[side]);
        free(joints[number].held[side]);
    }
    joints[number] = joints[--joint_count];
}

static void join(int relay) {
    const int on = 1;
    int outer = accept4(relays[relay].listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (outer < 0)
        return;
    const char *address = relays[relay].address;
    int inner = joint_count == RELAYED ? -1 : address ? connect_by_name(address) : connect_by_port(relays[relay].port);
    struct joint *joint = &joints[joint_count];
    struct held *held[2] = {calloc(1, sizeof **held), calloc(1, sizeof **held)};
    if (inner < 0 || !held[0] || !held[1]) {
        close(outer);
        if (inner >= 0)
            close(inner);
        free(held[0]);
        free(held[1]);
        return;
    }
    fcntl(inner, F_SETFL, O_NONBLOCK);
    setsockopt(outer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *joint = (struct joint){{outer, inner}, {held[0], held[1]}};
    joint_count++;
}

/* Move what one end said to the other. False: the line is broken. */
static bool move(struct joint *joint, int side) {
    struct held *held = joint->held[side];
    int from = joint->ends[side], to = joint->ends[!side];
    if (!held->used && !held->ended) {
        ssize_t length = read(from, held->bytes, BLOCK);
        if (length < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        held->at = 0;
        held->used = length > 0 ? (size_t)length : 0;
        if (length == 0) {
            held->ended = true;
            shutdown(to, SHUT_WR);
        }
    }
    while (held->used) {
        ssize_t sent = send(to, held->bytes + held->at, held->used, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        held->at += (size_t)sent;
        held->used -= (size_t)sent;
    }
    return true;
}

/* Entries for all relays and what is joined; the number of entries. */
int watch_relays(struct pollfd *polls) {
    int count = 0;
    for (int each = 0; each < relay_count; each++)
        polls[count++] = (struct pollfd){relays[each].listener, POLLIN, 0};
    for (int each = 0; each < joint_count; each++)
        for (int side = 0; side < 2; side++) {
            const struct held *in = joints[each].held[side], *out = joints[each].held[!side];
            short wanted = (short)((in->used || in->ended ? 0 : POLLIN) | (out->used ? POLLOUT : 0));
            polls[count++] = (struct pollfd){wanted ? joints[each].ends[side] : -1, wanted, 0};
        }
    return count;
}

void serve_relays(const struct pollfd *polls, int count) {
    for (int each = (count - relay_count) / 2; each-- > 0;) { /* from the end: a dropped one's place is taken by the last */
        const struct pollfd *ends = polls + relay_count + 2 * each;
        if (!ends[0].revents && !ends[1].revents)
            continue;
        struct joint *joint = &joints[each];
        bool whole = move(joint, 0) && move(joint, 1);
        if (!whole || (joint->held[0]->ended && joint->held[1]->ended))
            drop(each);
    }
    for (int each = 0; each < relay_count; each++)
        if (polls[each].revents)
            join(each);
}
