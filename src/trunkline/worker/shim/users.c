/* `transform.user`: whose rights the code runs with, as /etc/passwd inside tells. */

#include "shim.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 4 };

/* The whole of a small file, zero-terminated; "" if it is not there. Images from scratch have no /etc. */
static char *slurp(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0, room = 4096;
    char *bytes = malloc(room);
    for (ssize_t more = 1; bytes && fd >= 0 && more > 0; used += more > 0 ? more : 0) {
        if (used + 1 >= room)
            bytes = realloc(bytes, room *= 2);
        more = bytes ? read(fd, bytes + used, room - used - 1) : -1;
    }
    if (fd >= 0)
        close(fd);
    if (bytes)
        bytes[used] = 0;
    return bytes;
}

static bool all_digits(const char *text) {
    for (const char *each = text; *each; each++)
        if (!isdigit((unsigned char)*each))
            return false;
    return *text != 0;
}

/* Cut the next line that has all columns, the third a number. `rest` moves behind it. False: there is no more. */
static bool next_row(char **rest, int columns, char *row[COLUMNS]) {
    char *line;
    while ((line = strsep(rest, "\n"))) {
        int found = 0;
        char *cell;
        while (found < columns && (cell = strsep(&line, ":")))
            row[found++] = cell;
        if (found == columns && all_digits(row[2]))
            return true;
    }
    return false;
}

static bool find_group(const char *name, gid_t *found) {
    if (all_digits(name)) {
        *found = (gid_t)strtoul(name, NULL, 10);
        return true;
    }
    char *text = slurp("/etc/group"), *rest = text, *row[COLUMNS];
    bool there = false;
    while (!there && next_row(&rest, 3, row))
        if ((there = strcmp(row[0], name) == 0))
            *found = (gid_t)strtoul(row[2], NULL, 10);
    free(text);
    return there;
}

/* Groups that name `login` as a member. */
static void more_groups(const char *login, struct user *found) {
    char *text = slurp("/etc/group"), *rest = text, *row[COLUMNS], *member;
    while (*login && found->group_count < GROUPS && next_row(&rest, 4, row))
        while ((member = strsep(&row[3], ",")))
            if (strcmp(member, login) == 0 && found->group_count < GROUPS) {
                found->groups[found->group_count++] = (gid_t)strtoul(row[2], NULL, 10);
                break;
            }
    free(text);
}

/* The row of a user by name or number. False: there is none. */
static bool find_login(const char *name, struct user *found, char login[256]) {
    char *text = slurp("/etc/passwd"), *rest = text, *row[COLUMNS];
    bool there = false;
    while (!there && next_row(&rest, 4, row))
        if ((there = strcmp(row[0], name) == 0 || strcmp(row[2], name) == 0)) {
            found->uid = (uid_t)strtoul(row[2], NULL, 10);
            found->gid = (gid_t)strtoul(row[3], NULL, 10);
            snprintf(login, 256, "%s", row[0]);
        }
    free(text);
    return there;
}

bool find_user(const char *told, struct user *found, char message[MESSAGE]) {
    memset(found, 0, sizeof *found);
    if (!*told)
        return true;
    char name[512], login[256] = "";
    snprintf(name, sizeof name, "%s", told);
    char *group = strchr(name, ':');
    if (group)
        *group++ = 0;
    if (!find_login(name, found, login)) {
        if (!all_digits(name)) {
            snprintf(message, MESSAGE, "no user \"%s\" in /etc/passwd", name);
            return false;
        }
        found->uid = found->gid = (uid_t)strtoul(name, NULL, 10);
    }
    if (group && *group && !find_group(group, &found->gid)) {
        snprintf(message, MESSAGE, "no group \"%s\" in /etc/group", group);
        return false;
    }
    if (found->uid == getuid() && found->gid == getgid())
        return true;
    if (getuid() != 0) {
        snprintf(message, MESSAGE, "cannot become user \"%s\": this worker runs as uid %d and only root may change",
                 told, (int)getuid());
        return false;
    }
    found->change = true;
    found->groups[found->group_count++] = found->gid;
    more_groups(login, found);
    return true;
}
