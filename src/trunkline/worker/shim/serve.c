/* The loop: frames in, one process started and watched, frames out. */

#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GONE = -1, GO_ON = -2, READ = 64 << 10, LOOK_US = 50000, PAUSE_US = 20000 };

static struct {
    const struct plan *plan;
    int socket, signals;
    bool ending; /* somebody asked us to end, as `docker stop` does */
    uint8_t boot[16];
    struct running running;
    struct incoming incoming;
} shim = {.socket = -1};

static void tell_end(uint32_t id, int how, int code, uint32_t flags, const char *message) {
    const struct running *running = &shim.running;
    uint8_t body[41] = {(uint8_t)how};
    put_number(body + 1, (uint32_t)code, 4);
    put_number(body + 5, flags, 4);
    if (how != HOW_NOT_STARTED) {
        const struct rusage *used = &running->used;
        put_number(body + 9, running->wall_us, 8);
        put_number(body + 17, (uint64_t)used->ru_utime.tv_sec * 1000000 + (uint64_t)used->ru_utime.tv_usec, 8);
        put_number(body + 25, (uint64_t)used->ru_stime.tv_sec * 1000000 + (uint64_t)used->ru_stime.tv_usec, 8);
        put_number(body + 33, (uint64_t)used->ru_maxrss * 1024, 8);
    }
    send_told(shim.socket, EXITED, id, body, sizeof body, message);
}

static void done(uint32_t id, uint64_t count, const char *complaint) {
    uint8_t body[8];
    put_number(body, count, 8);
    send_told(shim.socket, DONE, id, body, sizeof body, complaint);
}

static void end_running(uint32_t flag) {
    if (shim.running.active && !shim.running.ended)
        shim.running.flags |= flag;
    end_all(&shim.running, shim.plan->own_pids);
}

/* Send what is in a pipe, as far as credit goes. Nothing left after the end means end-of-file: all writers are dead, or
   outside this container, where a pipe may have been handed to, and not our concern. */
static void relay_output(int stream) {
    struct running *running = &shim.running;
    struct pipe_end *from = &running->pipes[stream];
    static uint8_t block[1 + READ];
    while (from->fd >= 0 && from->credit) {
        ssize_t length = read(from->fd, block + 1, from->credit < READ ? from->credit : READ);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno == EAGAIN && !running->ended)
            return;
        if (length <= 0) {
            close(from->fd);
            from->fd = -1;
            return;
        }
        from->credit -= (uint64_t)length;
        block[0] = (uint8_t)(stream + 1);
        if (!send_frame(shim.socket, OUT, running->id, block, (size_t)length + 1) || !running->ended)
            return;
    }
}

static void report(void) {
    struct running *running = &shim.running;
    bool signalled = WIFSIGNALED(running->status);
    uint32_t flags = running->flags;
    if (group_kills() > running->group_kills)
        flags |= OVER_MEMORY;
    else if (signalled && WTERMSIG(running->status) == SIGKILL && machine_kills() > running->machine_kills)
        flags |= MACHINE_OUT_OF_MEMORY;
    running->active = false;
    tell_end(running->id, signalled ? HOW_SIGNALLED : HOW_EXITED,
             signalled ? WTERMSIG(running->status) : WEXITSTATUS(running->status), flags, "");
}

/* The end of the main process, of its time, of its memory, and of its output. */
static void watch(void) {
    struct running *running = &shim.running;
    bool before = running->ended;
    reap(running);
    if (!running->active)
        return;
    if (running->deadline_us && now_us() >= running->deadline_us)
        end_running(RAN_PAST_LIMIT);
    if (running->memory_bytes && !running->ended && now_us() >= running->look_us) {
        running->look_us = now_us() + LOOK_US;
        if (resident_bytes() > running->memory_bytes)
            end_running(OVER_MEMORY);
    }
    if (!running->ended)
        return;
    if (!before)
        end_all(running, shim.plan->own_pids);
    relay_output(0);
    relay_output(1);
    if (running->pipes[0].fd < 0 && running->pipes[1].fd < 0)
        report();
}

static void begin(uint32_t id, struct fields *from) {
    struct order order;
    char message[MESSAGE] = "";
    if (!read_order(from, &order))
        tell_end(id, HOW_NOT_STARTED, EINVAL, 0, "the order to start it could not be read");
    else if (shim.running.active)
        tell_end(id, HOW_NOT_STARTED, EBUSY, 0, "something else runs already");
    else {
        memset(&shim.running, 0, sizeof shim.running);
        shim.running.id = id;
        int error = start(&order, &shim.running, message);
        if (error)
            tell_end(id, HOW_NOT_STARTED, error, 0, message);
    }
    free_order(&order);
}

static void fix(uint32_t id, struct fields *from) {
    char message[MESSAGE] = "";
    struct user user;
    char *folder = take_string(from), *told = take_string(from), **trees = take_strings(from);
    uint64_t changed = 0;
    if (from->bad)
        snprintf(message, MESSAGE, "what to make readable could not be read");
    else if (find_user(told, &user, message))
        changed = fix_tree(folder, trees, &user, message);
    done(id, changed, message);
    free(folder);
    free(told);
    free_strings(trees);
}

static void wipe(uint32_t id, struct fields *from) {
    char message[MESSAGE] = "", *folder = take_string(from);
    uint64_t removed = folder ? wipe_tree(folder, message) : 0;
    done(id, removed, folder ? message : "what to empty could not be read");
    free(folder);
}

/* Obey one frame. GO_ON, or the status to end with. */
static int obey(struct frame *frame) {
    struct running *running = &shim.running;
    bool about_running = running->active && running->id == frame->id;
    struct fields *from = &frame->payload;
    switch (frame->kind) {
    case WELCOME:
        if (take_number(from, 2) == VERSION)
            return GO_ON;
        end_running(KILLED);
        return STATUS_MISMATCH;
    case BYE:
        end_running(KILLED);
        return STATUS_NO_WORKER;
    case EXEC:
        begin(frame->id, from);
        break;
    case CREDIT: {
        uint64_t stream = take_number(from, 1), more = take_number(from, 4);
        if (about_running && !from->bad && (stream == 1 || stream == 2))
            running->pipes[stream - 1].credit += more;
        break;
    }
    case KILL:
        if (about_running)
            end_running(KILLED);
        break;
    case REAP: {
        bool ran = running->active;
        if (ran)
            end_running(KILLED);
        done(frame->id, (uint64_t)end_all(running, shim.plan->own_pids) + ran, "");
        break;
    }
    case FIX:
        fix(frame->id, from);
        break;
    case WIPE:
        wipe(frame->id, from);
        break;
    }
    return GO_ON;
}

static int receive(void) {
    static uint8_t block[READ];
    int given;
    ssize_t length = receive_with(shim.socket, block, sizeof block, &given);
    if (given >= 0)
        open_inward(given, shim.plan->inward);
    if (length < 0 && errno == EINTR)
        return GO_ON;
    if (length <= 0)
        return GONE;
    if (!feed(&shim.incoming, block, (size_t)length))
        return STATUS_GARBLED;
    struct frame frame;
    int status = GO_ON, found = 0;
    while (status == GO_ON && (found = next_frame(&shim.incoming, &frame)) > 0)
        status = obey(&frame);
    if (found < 0) {
        fputs("shim: the worker does not speak this protocol\n", stderr);
        end_running(KILLED);
        return STATUS_GARBLED;
    }
    return status;
}

/* Signals that were sent to process 1 are meant for the user's. Asked to end with nothing to pass it on to: end. */
static void pass_signals(void) {
    struct signalfd_siginfo told;
    while (read(shim.signals, &told, sizeof told) == sizeof told) {
        if (told.ssi_signo == SIGCHLD)
            continue;
        if (shim.running.active && !shim.running.ended)
            kill(shim.running.pid, (int)told.ssi_signo);
        if (told.ssi_signo == SIGTERM || told.ssi_signo == SIGINT)
            shim.ending = true;
    }
}

static bool greet(void) {
    uint8_t hello[HEAD + 22], *body = hello + HEAD;
    put_number(hello, sizeof hello - 4, 4);
    hello[4] = HELLO;
    put_number(hello + 5, shim.running.active ? shim.running.id : 0, 4);
    put_number(body, VERSION, 2);
    memcpy(body + 2, shim.boot, 16);
    put_number(body + 18, (shim.plan->own_pids ? 1 : 0) | (shim.plan->own_mounts ? 2 : 0), 4);
    forget(&shim.incoming);
    int volume = shim.plan->volume ? open(shim.plan->volume, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (shim.plan->volume && volume < 0) {
        perror(shim.plan->volume);
        return false;
    }
    bool sent = send_with(shim.socket, hello, sizeof hello, volume);
    if (volume >= 0)
        close(volume);
    return sent;
}

/* Reach the worker's socket by a short relative path, since such an address holds 108 bytes at most. */
int connect_by_name(const char *address) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char folder[4096];
    const char *slash = strrchr(address, '/');
    const char *name = slash ? slash + 1 : address;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - address) + (slash == address) : 1,
             slash ? address : ".");
    if (strlen(name) >= sizeof to.sun_path || chdir(folder) != 0)
        return -1;
    strcpy(to.sun_path, name);
    int here = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (here >= 0 && connect(here, (struct sockaddr *)&to, sizeof to) != 0) {
        close(here);
        here = -1;
    }
    return chdir("/") == 0 ? here : -1;
}

static int wait_ms(void) {
    const struct running *running = &shim.running;
    uint64_t due = running->active ? running->deadline_us : 0, now = now_us();
    if (running->active && running->memory_bytes && !running->ended && (!due || running->look_us < due))
        due = running->look_us ? running->look_us : now;
    if (!due)
        return -1;
    return due <= now ? 0 : (int)((due - now) / 1000 > 60000 ? 60000 : (due - now) / 1000 + 1);
}

/* Until told to end (its status) or until the worker is gone. */
static int serve_worker(void) {
    enum { SOCKET, SIGNALS, OUTPUT, ERROR, FIXED };
    for (;;) {
        struct pollfd polls[FIXED + RELAYS + 2 * RELAYED] = {
            {shim.socket, POLLIN, 0}, {shim.signals, POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}};
        for (int each = 0; shim.running.active && each < 2; each++)
            if (shim.running.pipes[each].credit)
                polls[OUTPUT + each].fd = shim.running.pipes[each].fd;
        int relays = watch_relays(polls + FIXED);
        if (poll(polls, FIXED + (nfds_t)relays, wait_ms()) < 0 && errno != EINTR)
            return GONE;
        if (polls[SIGNALS].revents)
            pass_signals();
        serve_relays(polls + FIXED, relays);
        if (polls[SOCKET].revents) {
            int status = receive();
            if (status != GO_ON)
                return status;
        }
        for (int each = 0; each < 2; each++)
            if (polls[OUTPUT + each].revents && shim.running.active)
                relay_output(each);
        watch();
        if (shim.ending && !shim.running.active) {
            end_all(&shim.running, shim.plan->own_pids);
            return STATUS_NO_WORKER;
        }
    }
}

int serve(const struct plan *plan) {
    shim.plan = plan;
    if (getrandom(shim.boot, sizeof shim.boot, 0) != sizeof shim.boot)
        return STATUS_USAGE;
    sigset_t caught;
    sigemptyset(&caught);
    const int all[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};
    for (size_t each = 0; each < sizeof all / sizeof *all; each++)
        sigaddset(&caught, all[each]);
    sigprocmask(SIG_BLOCK, &caught, NULL);
    signal(SIGPIPE, SIG_IGN);
    shim.signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    for (uint64_t until = now_us() + plan->patience_us;;) {
        shim.socket = connect_by_name(plan->address);
        if (shim.socket >= 0) {
            int status = greet() ? serve_worker() : GONE;
            close(shim.socket);
            if (status != GONE)
                return status;
            until = now_us() + plan->patience_us;
        }
        pass_signals();
        if (now_us() >= until || shim.ending) {
            end_running(KILLED);
            return STATUS_NO_WORKER;
        }
        const struct timespec pause = {0, PAUSE_US * 1000};
        nanosleep(&pause, NULL);
    }
}
