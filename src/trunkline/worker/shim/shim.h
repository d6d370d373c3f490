/* The shim: process 1 of a container, which runs the user's command when a worker says so.

   It speaks docs/formats/runner.md, as the Python agent in ../agent does. It needs nothing of the image: no libc, no
   shell, no /proc. One thread, one poll. */

#ifndef SHIM_H
#define SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { VERSION = 1, MAX_FRAME = 8 << 20, HEAD = 9 };
enum { HELLO = 1, OUT, EXITED, DONE, WELCOME = 129, EXEC, CREDIT, KILL, REAP, FIX, WIPE, BYE };
enum { HOW_EXITED, HOW_SIGNALLED, HOW_NOT_STARTED };
enum { RAN_PAST_LIMIT = 1, KILLED = 2, MACHINE_OUT_OF_MEMORY = 4, OVER_MEMORY = 8 };
enum { STATUS_NO_WORKER = 0, STATUS_USAGE = 2, STATUS_MISMATCH = 4, STATUS_GARBLED = 5 };
enum { MESSAGE = 4096, GROUPS = 64 };

/* ---- wire.c: fields and frames */

/* Bytes of a payload that are still to be read. bad: something ran past the end; all that follows reads as nothing. */
struct fields {
    const uint8_t *at, *end;
    bool bad;
};

struct text {
    const char *bytes;
    uint32_t length;
};

struct frame {
    uint8_t kind;
    uint32_t id;
    struct fields payload;
};

/* What came over the socket and is no whole frame yet. */
struct incoming {
    uint8_t *bytes;
    size_t used, room, taken;
};

uint64_t take_number(struct fields *from, int bytes);
struct text take_text(struct fields *from);
char *take_string(struct fields *from);    /* zero-terminated copy; NULL if bad or if it holds a zero */
char **take_strings(struct fields *from);  /* NULL-terminated copies; NULL if bad */
void free_strings(char **strings);

bool feed(struct incoming *in, const uint8_t *data, size_t length);
int next_frame(struct incoming *in, struct frame *out); /* 1: one; 0: none yet; -1: garbled */
void forget(struct incoming *in);

bool send_frame(int socket, uint8_t kind, uint32_t id, const void *body, size_t length);
bool send_with(int socket, const void *bytes, size_t length, int descriptor); /* -1: with none */
ssize_t receive_with(int socket, void *bytes, size_t room, int *descriptor);   /* -1: there came none */
bool send_told(int socket, uint8_t kind, uint32_t id, const void *body, size_t length, const char *message);
void put_number(uint8_t *to, uint64_t value, int bytes);

/* ---- users.c: whose rights code runs with */

struct user {
    bool change; /* false: nobody else than we are */
    uid_t uid;
    gid_t gid;
    gid_t groups[GROUPS];
    int group_count;
};

bool find_user(const char *told, struct user *found, char message[MESSAGE]);

/* ---- start.c: from an order to a process */

struct order {
    uint64_t limit_us;
    uint32_t credit;
    char *user, *stdin_path, *cwd, **argv, **env;
    uint64_t memory_bytes, file_bytes;
};

struct pipe_end {
    int fd; /* -1: at its end */
    uint64_t credit;
};

struct running {
    bool active, ended;
    uint32_t id;
    pid_t pid;
    uint64_t began_us, deadline_us; /* 0: no limit */
    uint64_t memory_bytes, look_us;
    uint64_t machine_kills, group_kills;
    uint64_t wall_us;
    uint32_t flags;
    struct pipe_end pipes[2];
    int status;
    struct rusage used;
};

void inherit(void); /* from now on orders are completed by our own variables and folder */
bool read_order(struct fields *from, struct order *order);
void free_order(struct order *order);
int start(const struct order *order, struct running *running, char message[MESSAGE]); /* 0, or an errno */

/* ---- ends.c: the end of processes, and what they hold */

uint64_t now_us(void);
int reap(struct running *running);
int end_all(struct running *running, bool own_pids);
uint64_t resident_bytes(void);
uint64_t machine_kills(void);
uint64_t group_kills(void);

/* ---- tree.c: what only the code's own user may change */

uint64_t fix_tree(const char *folder, char **trees, const struct user *user, char message[MESSAGE]);
uint64_t wipe_tree(const char *folder, char message[MESSAGE]);

/* ---- relay.c: ports of the worker's inside, and one of ours outside */

enum { RELAYS = 8, RELAYED = 256 };

struct pollfd;
bool open_relay(const char *told); /* PORT=SOCKET */
void open_inward(int listener, uint16_t port);
int watch_relays(struct pollfd *polls);
void serve_relays(const struct pollfd *polls, int count);

/* ---- serve.c: the loop */

struct plan {
    const char *address;
    const char *volume; /* a folder to hand to the worker; NULL: none */
    uint16_t inward;    /* the port inside for who comes to the listener that the worker hands over; 0: none */
    uint64_t patience_us;
    bool own_pids, own_mounts;
};

int connect_by_name(const char *address); /* a descriptor, or -1 */
int serve(const struct plan *plan);

#endif
