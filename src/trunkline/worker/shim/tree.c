/* Changes below /pfs that only whoever shares the code's view and rights can make: FIX and WIPE. */

#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixing {
    char **trees;
    const struct user *user;
    uint64_t changed;
    char *message;
};

/* Folders that lie above the one being copied: a link that leads to one of them would never end. */
struct above {
    dev_t device;
    ino_t inode;
    const struct above *next;
};

static void complain(char *message, const char *path, const char *why) {
    if (!*message)
        snprintf(message, MESSAGE, "%.3000s: %s", path, why);
}

static char *joined(const char *folder, const char *name) {
    size_t room = strlen(folder) + strlen(name) + 2;
    char *path = malloc(room);
    if (path)
        snprintf(path, room, "%s/%s", folder, name);
    return path;
}

static bool dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/* Give bits that are missing. */
static void allow(struct fixing *fixing, const char *path, mode_t mode, mode_t bits) {
    if ((mode & bits) == bits)
        return;
    if (chmod(path, (mode | bits) & 07777) == 0)
        fixing->changed++;
    else
        complain(fixing->message, path, strerror(errno));
}

static int copy_file(const char *source, const char *target) {
    int from = open(source, O_RDONLY | O_CLOEXEC), error = from < 0 ? errno : 0;
    int to = error ? -1 : open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    error = error ? error : to < 0 ? errno : 0;
    static char block[64 << 10];
    for (ssize_t length = 1; !error && length;) {
        length = read(from, block, sizeof block);
        error = length < 0 ? errno : 0;
        for (ssize_t done = 0, more; !error && done < length; done += more)
            if ((more = write(to, block + done, length - done)) < 0)
                error = errno;
    }
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return error;
}

/* A regular file, or a folder with all that its links lead to; anything else is left out. 0, or an errno. */
static int copy(const char *source, const char *target, const struct above *above) {
    struct stat about;
    if (stat(source, &about) != 0)
        return errno;
    if (S_ISREG(about.st_mode))
        return copy_file(source, target);
    if (!S_ISDIR(about.st_mode))
        return 0;
    for (const struct above *each = above; each; each = each->next)
        if (each->device == about.st_dev && each->inode == about.st_ino)
            return ELOOP;
    struct above here = {about.st_dev, about.st_ino, above};
    DIR *entries = mkdir(target, 0777) == 0 ? opendir(source) : NULL;
    int error = entries ? 0 : errno;
    for (struct dirent *entry; !error && (entry = readdir(entries));) {
        if (dots(entry->d_name))
            continue;
        char *from = joined(source, entry->d_name), *to = joined(target, entry->d_name);
        error = from && to ? copy(from, to, &here) : ENOMEM;
        free(from);
        free(to);
    }
    if (entries)
        closedir(entries);
    return error;
}

/* Read and write with the rights of the code's own user, or as ourselves again. */
static void act_as(const struct user *user, bool become) {
    static gid_t mine[NGROUPS_MAX];
    static int count;
    if (!user->change)
        return;
    if (become) {
        count = getgroups(NGROUPS_MAX, mine);
        if (count >= 0 && setgroups(user->group_count, user->groups) == 0 && setegid(user->gid) == 0 &&
            seteuid(user->uid) == 0)
            return;
    } else if (seteuid(getuid()) == 0 && setegid(getgid()) == 0 && setgroups(count, mine) == 0)
        return;
    _exit(1); /* with whose rights we act must never be a guess */
}

/* Whether `path` is `folder` or below it. */
static bool lies_in(const char *path, const char *folder) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

/* Why what a link leads to is not copied, or NULL. */
static const char *refusal(const char *link, const char *target) {
    if (strcmp(target, "/") == 0 || lies_in(link, target))
        return "it leads back to a folder it lies in";
    if (lies_in(target, "/proc") || lies_in(target, "/sys") || lies_in(target, "/dev"))
        return "files of the kernel are not copied";
    return NULL;
}

/* Put a copy in place of a link, unless it leads into the trees, nowhere, or in a circle. */
static void materialise(struct fixing *fixing, const char *link) {
    char target[PATH_MAX];
    if (!realpath(link, target))
        return;
    for (char **tree = fixing->trees; *tree; tree++)
        if (lies_in(target, *tree))
            return;
    const char *refused = refusal(link, target);
    if (refused) {
        complain(fixing->message, link, refused);
        return;
    }
    char beside[PATH_MAX];
    struct stat about;
    int used = snprintf(beside, sizeof beside - 1, "%s.copy", link);
    for (; used < (int)sizeof beside - 1 && lstat(beside, &about) == 0; beside[used] = 0)
        beside[used++] = 'y';
    act_as(fixing->user, true);
    int error = used < (int)sizeof beside - 1 ? copy(link, beside, NULL) : ENAMETOOLONG;
    act_as(fixing->user, false);
    if (!error && lstat(beside, &about) != 0)
        return; /* it leads to what is neither file nor folder */
    if (!error && (unlink(link) != 0 || rename(beside, link) != 0))
        error = errno;
    if (error)
        complain(fixing->message, link,
                 error == ELOOP ? "a link that leads back to a folder it lies in" : strerror(error));
    else
        fixing->changed++;
}

static void fix_folder(struct fixing *fixing, const char *folder) {
    struct stat about;
    if (lstat(folder, &about) == 0)
        allow(fixing, folder, about.st_mode, 0755);
    DIR *entries = opendir(folder);
    if (!entries) {
        complain(fixing->message, folder, strerror(errno));
        return;
    }
    for (struct dirent *entry; (entry = readdir(entries));) {
        char *path = dots(entry->d_name) ? NULL : joined(folder, entry->d_name);
        if (!path)
            continue;
        if (lstat(path, &about) != 0)
            complain(fixing->message, path, strerror(errno));
        else if (S_ISLNK(about.st_mode))
            materialise(fixing, path);
        else if (S_ISDIR(about.st_mode))
            fix_folder(fixing, path);
        else if (S_ISREG(about.st_mode))
            allow(fixing, path, about.st_mode, 0444);
        free(path);
    }
    closedir(entries);
}

uint64_t fix_tree(const char *folder, char **trees, const struct user *user, char message[MESSAGE]) {
    struct fixing fixing = {trees, user, 0, message};
    fix_folder(&fixing, folder);
    return fixing.changed;
}

/* Empty one folder below `top`: files go, folders move up beside it, to be emptied in their turn. So neither the depth
   of a tree nor the length of a path matters. */
static void flatten(int top, const char *name, uint64_t *moved) {
    fchmodat(top, name, 0700, 0);
    int here = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = here < 0 ? NULL : fdopendir(here);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        if (dots(entry->d_name) || unlinkat(here, entry->d_name, 0) == 0)
            continue;
        if (unlinkat(here, entry->d_name, AT_REMOVEDIR) == 0)
            continue;
        char place[64];
        int failed;
        fchmodat(here, entry->d_name, 0700, 0);
        do { /* a name may be taken by what a shim that was killed has left */
            snprintf(place, sizeof place, ".wiped-%llu", (unsigned long long)*moved);
            failed = renameat(here, entry->d_name, top, place);
            *moved += failed == 0 || errno == ENOTEMPTY || errno == EEXIST;
        } while (failed && (errno == ENOTEMPTY || errno == EEXIST));
    }
    if (entries)
        closedir(entries);
    else if (here >= 0)
        close(here);
}

uint64_t wipe_tree(const char *folder, char message[MESSAGE]) {
    uint64_t removed = 0, moved = 0;
    int top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0) {
        complain(message, folder, strerror(errno));
        return 0;
    }
    for (bool again = true; again;) {
        again = false;
        int copy = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *entries = copy < 0 ? NULL : fdopendir(copy);
        *message = 0;
        for (struct dirent *entry; entries && (entry = readdir(entries));) {
            if (dots(entry->d_name))
                continue;
            bool gone = unlinkat(top, entry->d_name, 0) == 0 || unlinkat(top, entry->d_name, AT_REMOVEDIR) == 0;
            if (!gone && (errno == ENOTEMPTY || errno == EEXIST || errno == EACCES)) {
                uint64_t before = moved;
                flatten(top, entry->d_name, &moved);
                gone = unlinkat(top, entry->d_name, AT_REMOVEDIR) == 0;
                again |= moved > before;
            }
            removed += gone && strncmp(entry->d_name, ".wiped-", 7) != 0;
            if (!gone) {
                char *path = joined(folder, entry->d_name);
                complain(message, path ? path : folder, strerror(errno));
                free(path);
            }
        }
        if (entries)
            closedir(entries);
    }
    close(top);
    return removed;
}
