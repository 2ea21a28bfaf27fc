/* Whose listener stands on a port, from /proc. See owner.h. */
#include "host/engine/owner.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INODES_MAX = 16, LISTENING = 0x0a };

struct inodes {
    uint64_t item[INODES_MAX];
    uint32_t count;
};

/* Inodes of the listeners on `port` in one of the kernel's tables. */
static void read_table(const char *path, uint32_t port, struct inodes *inodes)
{
    char line[512];
    FILE *table = fopen(path, "re");
    while (table && fgets(line, sizeof(line), table)) {
        char local[64];
        unsigned state = 0;
        uint64_t inode = 0;
        if (sscanf(line, " %*u: %63s %*s %x %*s %*s %*s %*u %*u %" SCNu64, local, &state, &inode) !=
            3) {
            continue;
        }
        const char *colon = strrchr(local, ':');
        if (colon && strtoul(colon + 1, NULL, 16) == port && state == LISTENING &&
            inodes->count < INODES_MAX) {
            inodes->item[inodes->count++] = inode;
        }
    }
    if (table) {
        (void)fclose(table);
    }
}

static bool in_group(const char *pid, pid_t group)
{
    char path[64];
    char text[512];
    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return false;
    }
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    const char *end = strrchr(text, ')'); /* the name may hold anything */
    int found = 0;
    return end && sscanf(end + 1, " %*c %*d %d", &found) == 1 && found == group;
}

static bool holds(const char *pid, const struct inodes *inodes)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
    DIR *dir = opendir(path);
    bool found = false;
    const struct dirent *entry;
    while (dir && !found && (entry = readdir(dir))) {
        char name[330];
        char target[64];
        uint64_t inode = 0;
        (void)snprintf(name, sizeof(name), "/proc/%.20s/fd/%.20s", pid, entry->d_name);
        ssize_t len = readlink(name, target, sizeof(target) - 1);
        if (len <= 0) {
            continue;
        }
        target[len] = '\0';
        if (sscanf(target, "socket:[%" SCNu64 "]", &inode) != 1) {
            continue;
        }
        for (uint32_t i = 0; i < inodes->count; i++) {
            found = found || inodes->item[i] == inode;
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return found;
}

bool owner_listens(pid_t group, uint32_t port)
{
    struct inodes inodes = {0};
    read_table("/proc/net/tcp", port, &inodes);
    read_table("/proc/net/tcp6", port, &inodes);
    DIR *proc = inodes.count ? opendir("/proc") : NULL;
    bool found = false;
    const struct dirent *entry;
    while (proc && !found && (entry = readdir(proc))) {
        found = isdigit((unsigned char)entry->d_name[0]) && in_group(entry->d_name, group) &&
                holds(entry->d_name, &inodes);
    }
    if (proc) {
        (void)closedir(proc);
    }
    return found;
}
