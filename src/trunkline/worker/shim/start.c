/* From an order to a process: its user, folder, program, streams and limits. */

#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static const char DEFAULT_PATH[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static const char *variable(char **env, const char *name) {
    size_t length = strlen(name);
    for (char **each = env; *each; each++)
        if (strncmp(*each, name, length) == 0 && (*each)[length] == '=')
            return *each + length + 1;
    return NULL;
}

extern char **environ;

static bool inherits;
static char own_folder[PATH_MAX];

void inherit(void) {
    inherits = true;
    if (!getcwd(own_folder, sizeof own_folder))
        *own_folder = 0;
}

/* What the image says: all our variables that the order does not name; our home only for code of our own user. */
static void add_own(struct order *order) {
    size_t count = 0, own = 0;
    while (order->env[count])
        count++;
    while (environ[own])
        own++;
    char **more = realloc(order->env, (count + own + 1) * sizeof *more);
    if (!more)
        return;
    order->env = more;
    for (size_t each = 0; each < own; each++) {
        char name[256];
        size_t length = strcspn(environ[each], "=");
        if (length >= sizeof name)
            continue;
        memcpy(name, environ[each], length);
        name[length] = 0;
        if (variable(order->env, name) || (*order->user && strcmp(name, "HOME") == 0))
            continue;
        char *copy = strdup(environ[each]);
        if (!copy)
            return;
        more[count++] = copy;
        more[count] = NULL;
    }
}

/* Code that is told no home gets ours, which the engine took from the image's own list of users. */
static void add_home(struct order *order) {
    const char *home = getenv("HOME");
    if (!home || variable(order->env, "HOME"))
        return;
    size_t count = 0, room = strlen(home) + sizeof "HOME=";
    while (order->env[count])
        count++;
    char **more = realloc(order->env, (count + 2) * sizeof *more), *text = malloc(room);
    if (more)
        order->env = more;
    if (!more || !text) {
        free(text);
        return;
    }
    snprintf(text, room, "HOME=%s", home);
    more[count] = text;
    more[count + 1] = NULL;
}

bool read_order(struct fields *from, struct order *order) {
    memset(order, 0, sizeof *order);
    order->limit_us = take_number(from, 8);
    order->credit = (uint32_t)take_number(from, 4);
    order->user = take_string(from);
    order->stdin_path = take_string(from);
    order->cwd = take_string(from);
    order->argv = take_strings(from);
    order->env = take_strings(from);
    if (!from->bad && from->at < from->end) {
        order->memory_bytes = take_number(from, 8);
        order->file_bytes = take_number(from, 8);
        take_number(from, 4); /* control groups are the container's own */
    }
    if (!from->bad && inherits)
        add_own(order);
    else if (!from->bad && !*order->user)
        add_home(order);
    return !from->bad;
}

void free_order(struct order *order) {
    free(order->user);
    free(order->stdin_path);
    free(order->cwd);
    free_strings(order->argv);
    free_strings(order->env);
}

/* Where it was looked for, a comma between the folders. */
static int not_found(const char *name, const char *path, char message[MESSAGE]) {
    int used = snprintf(message, MESSAGE, "command \"%.1000s\" not found; looked in ", name);
    for (const char *each = path; *each && used < MESSAGE - 3; each++) {
        message[used++] = *each == ':' ? ',' : *each;
        if (*each == ':')
            message[used++] = ' ';
    }
    message[used] = 0;
    return ENOENT;
}

/* The file that argv[0] names, into `program`. 0, or an errno with a message. */
static int look_up(const struct order *order, char program[PATH_MAX], char message[MESSAGE]) {
    const char *name = order->argv[0];
    if (!name || !*name) {
        snprintf(message, MESSAGE, "no command given");
        return EINVAL;
    }
    if (strchr(name, '/')) {
        struct stat about;
        snprintf(program, PATH_MAX, "%s", name);
        if (stat(name, &about) == 0)
            return 0;
        snprintf(message, MESSAGE, "command \"%.1000s\" does not exist", name);
        return ENOENT;
    }
    const char *path = variable(order->env, "PATH");
    path = path ? path : DEFAULT_PATH;
    char refused[PATH_MAX] = "";
    for (const char *at = path;; at += 1) {
        size_t length = strcspn(at, ":");
        struct stat about;
        snprintf(program, PATH_MAX, "%.*s/%s", length ? (int)length : 1, length ? at : ".", name);
        if (stat(program, &about) == 0 && S_ISREG(about.st_mode)) {
            if (access(program, X_OK) == 0)
                return 0;
            if (!*refused)
                memcpy(refused, program, PATH_MAX);
        }
        at += length;
        if (!*at)
            break;
    }
    if (!*refused)
        return not_found(name, path, message);
    snprintf(message, MESSAGE, "command \"%.1000s\": %.2000s may not be executed", name, refused);
    return EACCES;
}

/* Why a program that was found could not be started. */
static void why_not(const char *program, int error, char message[MESSAGE]) {
    char first[256] = "";
    int fd = error == ENOENT || error == ENOEXEC ? open(program, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        ssize_t length = read(fd, first, 200);
        first[length < 0 ? 0 : length] = 0;
        close(fd);
    }
    struct utsname machine;
    if (error == ENOENT && first[0] == '#' && first[1] == '!') {
        char *interpreter = first + 2 + strspn(first + 2, " \t");
        interpreter[strcspn(interpreter, "\r\n")] = 0;
        for (size_t last = strlen(interpreter); last && strchr(" \t", interpreter[last - 1]);)
            interpreter[--last] = 0;
        snprintf(message, MESSAGE, "command \"%.2000s\": its interpreter %s does not exist", program, interpreter);
    } else if (error == ENOEXEC && memcmp(first, "\177ELF", 4) == 0 && uname(&machine) == 0)
        snprintf(message, MESSAGE, "command \"%.2000s\" is made for another kind of machine: this one is %.64s",
                 program, machine.machine);
    else if (error == ENOEXEC)
        snprintf(message, MESSAGE, "command \"%.2000s\" is not a program: it needs a first line such as #!/bin/sh",
                 program);
    else
        snprintf(message, MESSAGE, "command \"%.2000s\": %s", program, strerror(error));
}

/* In the child: change what is to be changed and become the program. The errno goes to `tell`. Never returns. */
static void become(const char *program, const struct order *order, const struct user *user, const int streams[3],
                   int tell) {
    sigset_t none;
    sigemptyset(&none);
    setsid();
    bool ready = true;
    for (int each = 0; each < 3; each++)
        ready = ready && dup2(streams[each], each) >= 0;
    for (int each = 1; each < NSIG; each++)
        signal(each, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (order->file_bytes) {
        struct rlimit limit = {order->file_bytes, order->file_bytes};
        ready = ready && setrlimit(RLIMIT_FSIZE, &limit) == 0;
    }
    if (user->change)
        ready = ready && setgroups(user->group_count, user->groups) == 0 && setgid(user->gid) == 0 &&
                setuid(user->uid) == 0;
    if (ready)
        execve(program, order->argv, order->env);
    int error = errno;
    if (write(tell, &error, sizeof error) != sizeof error)
        _exit(126);
    _exit(127);
}

/* Start the program in a session of its own. 0, or the errno that stopped it. */
static int spawn(const char *program, const struct order *order, const struct user *user, const int streams[3],
                 pid_t *pid) {
    int tell[2], error = 0;
    if (pipe2(tell, O_CLOEXEC) != 0)
        return errno;
    *pid = fork();
    if (*pid == 0)
        become(program, order, user, streams, tell[1]);
    error = *pid < 0 ? errno : 0;
    close(tell[1]);
    ssize_t told;
    while (*pid > 0 && (told = read(tell[0], &error, sizeof error)) < 0 && errno == EINTR)
        continue;
    close(tell[0]);
    if (*pid > 0 && error)
        waitpid(*pid, NULL, 0);
    return error;
}

/* Pipes for both streams and the file of the input; then the process. 0, or an errno. */
static int launch(const char *program, const struct order *order, const struct user *user, struct running *running) {
    int streams[3] = {-1, -1, -1}, ends[2] = {-1, -1}, error = 0, pair[2];
    streams[0] = open(*order->stdin_path ? order->stdin_path : "/dev/null", O_RDONLY | O_CLOEXEC);
    if (streams[0] < 0 && !*order->stdin_path && pipe2(pair, O_CLOEXEC) == 0) {
        streams[0] = pair[0]; /* an image without /dev: a pipe whose writer is gone is as empty */
        close(pair[1]);
    }
    error = streams[0] < 0 ? errno : 0;
    for (int each = 0; !error && each < 2; each++) {
        if (pipe2(pair, O_CLOEXEC) != 0) {
            error = errno;
            break;
        }
        ends[each] = pair[0];
        streams[each + 1] = pair[1];
        fcntl(pair[0], F_SETFL, O_NONBLOCK);
    }
    running->began_us = now_us();
    error = error ? error : spawn(program, order, user, streams, &running->pid);
    for (int each = 0; each < 3; each++)
        if (streams[each] >= 0)
            close(streams[each]);
    for (int each = 0; each < 2; each++) {
        running->pipes[each] = (struct pipe_end){error ? -1 : ends[each], order->credit};
        if (error && ends[each] >= 0)
            close(ends[each]);
    }
    return error;
}

int start(const struct order *order, struct running *running, char message[MESSAGE]) {
    struct user user;
    char program[PATH_MAX];
    int error = EPERM;
    if (!find_user(order->user, &user, message))
        return error;
    const char *folder = *order->cwd ? order->cwd : *own_folder ? own_folder : "/";
    if (chdir(folder) != 0) {
        error = errno;
        snprintf(message, MESSAGE, "working directory \"%.2000s\": %s", folder, strerror(error));
        return error;
    }
    error = look_up(order, program, message);
    if (!error) {
        running->machine_kills = machine_kills();
        running->group_kills = group_kills();
        error = launch(program, order, &user, running);
        if (error)
            why_not(program, error, message);
    }
    if (chdir("/") != 0)
        return error ? error : errno;
    running->active = !error;
    running->deadline_us = order->limit_us ? running->began_us + order->limit_us : 0;
    running->memory_bytes = order->memory_bytes;
    return error;
}
