/* Arguments of the shim.

     shim [--inherit] [--patience SECONDS] [--relay PORT=SOCKET]... [--inward PORT] [--volume FOLDER] SOCKET
     shim --copy PLACE

   --inherit: code has our own variables and folder where the worker names none, which the image of a pod gave us.
   --copy: put this program where others can start it, and end (an init container does that). */

#include "shim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int copy_self(const char *place) {
    static char block[64 << 10];
    char beside[4096];
    snprintf(beside, sizeof beside, "%.4000s.new", place);
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    ssize_t length = -1;
    while (from >= 0 && to >= 0 && (length = read(from, block, sizeof block)) > 0)
        if (write(to, block, (size_t)length) != length) {
            length = -1;
            break;
        }
    if (length != 0 || fchmod(to, 0755) != 0 || close(to) != 0 || rename(beside, place) != 0) {
        perror(place);
        return 1;
    }
    return 0;
}

int main(int count, char **given) {
    struct plan plan = {.own_pids = getpid() == 1, .own_mounts = getpid() == 1};
    for (int each = 1; each < count; each++) {
        const char *value = each + 1 < count ? given[each + 1] : NULL;
        if (value && strcmp(given[each], "--copy") == 0)
            return copy_self(value);
        if (strcmp(given[each], "--inherit") == 0)
            inherit();
        else if (value && strcmp(given[each], "--patience") == 0)
            plan.patience_us = (uint64_t)(strtod(given[++each], NULL) * 1e6);
        else if (value && strcmp(given[each], "--relay") == 0) {
            if (!open_relay(given[++each])) {
                fprintf(stderr, "shim: cannot listen as told by --relay %s\n", given[each]);
                return 1;
            }
        } else if (value && strcmp(given[each], "--inward") == 0)
            plan.inward = (uint16_t)strtoul(given[++each], NULL, 10);
        else if (value && strcmp(given[each], "--volume") == 0)
            plan.volume = given[++each];
        else if (*given[each] != '-' && !plan.address)
            plan.address = given[each];
        else {
            plan.address = NULL;
            break;
        }
    }
    if (!plan.address) {
        fputs("usage: shim [--inherit] [--patience SECONDS] [--relay PORT=SOCKET]... [--inward PORT] [--volume FOLDER]"
              " SOCKET\n       shim --copy PLACE\n",
              stderr);
        return STATUS_USAGE;
    }
    umask(022);
    if (!plan.own_pids)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return serve(&plan);
}
