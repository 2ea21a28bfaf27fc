/* See folders.h. */
#include "host/folders.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int folders_make(const char *path)
{
    char part[4096];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(part)) {
        return -ENAMETOOLONG;
    }
    for (size_t i = 1; i <= len; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            memcpy(part, path, i);
            part[i] = '\0';
            if (mkdir(part, 0700) != 0 && errno != EEXIST) {
                return -errno;
            }
        }
    }
    return 0;
}
