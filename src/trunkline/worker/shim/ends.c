/* The end of processes: reaping, killing all that user code left, and counting what they hold. */

#include "shim.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct process {
    pid_t pid, parent;
    bool ours;
};

uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A process has ended: note it if it is the main one. */
static void note(struct running *running, pid_t pid, int status, const struct rusage *used) {
    if (!running->active || running->ended || running->pid != pid)
        return;
    running->ended = true;
    running->status = status;
    running->used = *used;
    running->wall_us = now_us() - running->began_us;
    running->deadline_us = 0;
}

int reap(struct running *running) {
    struct rusage used;
    int status, count = 0;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &used)) > 0) {
        note(running, pid, status, &used);
        count++;
    }
    return count;
}

/* Read the start of a file below /proc or /sys, zero-terminated. False: it is not there. */
static bool glance(const char *path, char *into, size_t room) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t length = read(fd, into, room - 1);
    close(fd);
    into[length < 0 ? 0 : length] = 0;
    return length >= 0;
}

/* All processes that /proc shows, those below this one marked. The caller frees. */
static struct process *processes(size_t *count) {
    struct process *found = NULL;
    size_t room = 0, used = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char path[64], line[512];
        if (!isdigit((unsigned char)*entry->d_name))
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/stat", entry->d_name);
        char *behind = glance(path, line, sizeof line) ? strrchr(line, ')') : NULL;
        if (!behind || strlen(behind) < 5)
            continue;
        if (used == room) {
            room = room ? room * 2 : 256;
            struct process *more = realloc(found, room * sizeof *found);
            if (!more)
                break;
            found = more;
        }
        found[used++] = (struct process){atoi(entry->d_name), atoi(behind + 4), false};
    }
    if (proc)
        closedir(proc);
    pid_t self = getpid();
    for (bool again = true; again;) {
        again = false;
        for (size_t one = 0; one < used; one++)
            for (size_t above = 0; !found[one].ours && above <= used; above++)
                if (above == used ? found[one].parent == self
                                  : found[above].ours && found[above].pid == found[one].parent)
                    again = found[one].ours = true;
    }
    *count = used;
    return found;
}

static void kill_descendants(void) {
    size_t count;
    struct process *found = processes(&count);
    for (size_t each = 0; each < count; each++)
        if (found[each].ours)
            kill(found[each].pid, SIGKILL);
    free(found);
}

/* As process 1 of a pid namespace one call reaches everything. Else descendants: they cannot escape, since orphans come
   back to this process (a subreaper), so scan and kill until no child is left. */
int end_all(struct running *running, bool own_pids) {
    struct rusage used;
    int status, count = 0;
    for (;;) {
        if (own_pids)
            kill(-1, SIGKILL);
        else
            kill_descendants();
        pid_t pid = wait4(-1, &status, 0, &used);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            return count;
        note(running, pid, status, &used);
        count += 1 + reap(running);
    }
}

uint64_t resident_bytes(void) {
    size_t count;
    uint64_t pages = 0;
    struct process *found = processes(&count);
    for (size_t each = 0; each < count; each++) {
        char path[64], line[256];
        if (!found[each].ours)
            continue;
        snprintf(path, sizeof path, "/proc/%d/statm", (int)found[each].pid);
        char *second = glance(path, line, sizeof line) ? strchr(line, ' ') : NULL;
        pages += second ? strtoull(second + 1, NULL, 10) : 0;
    }
    free(found);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The number behind `name` in a file of lines `name number`; 0 if there is none. */
static uint64_t counted(const char *path, const char *name) {
    static char text[16384];
    if (!glance(path, text, sizeof text))
        return 0;
    for (char *line = text; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0)
        if (strncmp(line, name, strlen(name)) == 0)
            return strtoull(line + strlen(name), NULL, 10);
    return 0;
}

/* How often this machine has killed a process for want of memory. */
uint64_t machine_kills(void) { return counted("/proc/vmstat", "oom_kill "); }

/* How often the kernel has killed a process of this container for its limit (control groups 2, then 1). */
uint64_t group_kills(void) {
    uint64_t kills = counted("/sys/fs/cgroup/memory.events", "oom_kill ");
    return kills ? kills : counted("/sys/fs/cgroup/memory/memory.oom_control", "oom_kill ");
}
