/* Fields and frames of the runner protocol (docs/formats/runner.md). */

#include "shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

uint64_t take_number(struct fields *from, int bytes) {
    if (from->bad || from->end - from->at < bytes) {
        from->bad = true;
        return 0;
    }
    uint64_t value = 0;
    for (int each = bytes; each-- > 0;)
        value = value << 8 | from->at[each];
    from->at += bytes;
    return value;
}

struct text take_text(struct fields *from) {
    uint32_t length = (uint32_t)take_number(from, 4);
    if (from->bad || (size_t)(from->end - from->at) < length) {
        from->bad = true;
        return (struct text){"", 0};
    }
    struct text found = {(const char *)from->at, length};
    from->at += length;
    return found;
}

char *take_string(struct fields *from) {
    struct text found = take_text(from);
    if (from->bad || memchr(found.bytes, 0, found.length)) {
        from->bad = true;
        return NULL;
    }
    char *copy = malloc((size_t)found.length + 1);
    if (!copy) {
        from->bad = true;
        return NULL;
    }
    memcpy(copy, found.bytes, found.length);
    copy[found.length] = 0;
    return copy;
}

char **take_strings(struct fields *from) {
    uint32_t count = (uint32_t)take_number(from, 4);
    /* Each takes four bytes at least: a count beyond that is garbled, and no reason to ask for memory. */
    if (from->bad || count > (size_t)(from->end - from->at) / 4) {
        from->bad = true;
        return NULL;
    }
    char **strings = calloc((size_t)count + 1, sizeof *strings);
    for (uint32_t each = 0; strings && each < count; each++)
        if (!(strings[each] = take_string(from))) {
            free_strings(strings);
            return NULL;
        }
    from->bad |= !strings;
    return strings;
}

void free_strings(char **strings) {
    for (char **each = strings; each && *each; each++)
        free(*each);
    free(strings);
}

bool feed(struct incoming *in, const uint8_t *data, size_t length) {
    if (in->taken) {
        in->used -= in->taken;
        memmove(in->bytes, in->bytes + in->taken, in->used);
        in->taken = 0;
    }
    if (in->used + length > in->room) {
        size_t room = (in->used + length) * 2;
        uint8_t *bytes = realloc(in->bytes, room);
        if (!bytes)
            return false;
        in->bytes = bytes;
        in->room = room;
    }
    memcpy(in->bytes + in->used, data, length);
    in->used += length;
    return true;
}

int next_frame(struct incoming *in, struct frame *out) {
    struct fields head = {in->bytes + in->taken, in->bytes + in->used, false};
    uint64_t length = take_number(&head, 4);
    if (head.bad)
        return 0;
    if (length < HEAD - 4 || length > MAX_FRAME)
        return -1;
    if ((size_t)(head.end - head.at) < length)
        return 0;
    head.end = head.at + length;
    out->kind = (uint8_t)take_number(&head, 1);
    out->id = (uint32_t)take_number(&head, 4);
    out->payload = head;
    in->taken += 4 + length;
    return 1;
}

void forget(struct incoming *in) {
    free(in->bytes);
    memset(in, 0, sizeof *in);
}

void put_number(uint8_t *to, uint64_t value, int bytes) {
    for (int each = 0; each < bytes; each++, value >>= 8)
        to[each] = (uint8_t)value;
}

static bool send_all(int socket, struct iovec *parts, int count) {
    while (count) {
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        for (; count && (size_t)sent >= parts->iov_len; parts++, count--)
            sent -= parts->iov_len;
        if (count) {
            parts->iov_base = (char *)parts->iov_base + sent;
            parts->iov_len -= sent;
        }
    }
    return true;
}

/* A descriptor goes with the first of the bytes: these are few, and go in one piece. */
bool send_with(int socket, const void *bytes, size_t length, int descriptor) {
    struct iovec part = {(void *)bytes, length};
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } beside = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = &beside;
        message.msg_controllen = sizeof beside;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &descriptor, sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)length;
}

/* Descriptors beyond the first are closed by the kernel: there is no room for them. */
ssize_t receive_with(int socket, void *bytes, size_t room, int *descriptor) {
    struct iovec part = {bytes, room};
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } beside;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &beside, .msg_controllen = sizeof beside};
    ssize_t length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    *descriptor = -1;
    struct cmsghdr *head = length < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len >= CMSG_LEN(sizeof(int)))
        memcpy(descriptor, CMSG_DATA(head), sizeof(int));
    return length;
}

bool send_frame(int socket, uint8_t kind, uint32_t id, const void *body, size_t length) {
    uint8_t head[HEAD];
    put_number(head, length + HEAD - 4, 4);
    head[4] = kind;
    put_number(head + 5, id, 4);
    struct iovec parts[] = {{head, HEAD}, {(void *)body, length}};
    return send_all(socket, parts, length ? 2 : 1);
}

bool send_told(int socket, uint8_t kind, uint32_t id, const void *body, size_t length, const char *message) {
    uint8_t whole[64 + MESSAGE];
    size_t told = strlen(message);
    memcpy(whole, body, length);
    put_number(whole + length, told, 4);
    memcpy(whole + length + 4, message, told);
    return send_frame(socket, kind, id, whole, length + 4 + told);
}
