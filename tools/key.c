/*
 * `shunt key NAME`: makes an API key. The key goes to standard output once and is stored nowhere;
 * its hash goes to the keys file, or to standard output for a file elsewhere.
 */
#include "base/keys.h"
#include "tools/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Appends a line in one write, so that two calls at a time do not mix theirs. */
static int append_line(const char *path, const char *line)
{
    char text[256];
    int length = snprintf(text, sizeof text, "%s\n", line);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    ssize_t written = write(fd, text, (size_t)length);
    int result = written == length ? 0 : written < 0 ? -errno : -EIO;
    if (close(fd) && result == 0) {
        result = -errno;
    }
    return result;
}

int verb_key(int argc, char **argv)
{
    const char *path = NULL, *name = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-f") == 0 && i + 1 < argc) {
            path = argv[++i];
        } else if (argv[i][0] == '-' || name) {
            return verb_usage("key", "\"%s\" is not understood", argv[i]);
        } else {
            name = argv[i];
        }
    }
    char token[KEYS_TOKEN_SIZE], line[256];
    if (!name) {
        return verb_usage("key", "the name of the key is missing");
    }
    int result = keys_make(name, token, line, sizeof line);
    if (result == -EINVAL) {
        return verb_usage("key", "\"%s\": a name takes letters, digits, '-', '_', '.', 64 at most",
                          name);
    }
    if (result) {
        (void)fprintf(stderr, "shunt key: %s\n", strerror(-result));
        return VERB_FAILED;
    }
    if (path && (result = append_line(path, line))) {
        (void)fprintf(stderr, "shunt key: %s: %s\n", path, strerror(-result));
        return VERB_FAILED;
    }
    if (path) {
        puts(token);
    } else {
        printf("key (give it to the client, it is stored nowhere): %s\n"
               "line for keys_file: %s\n",
               token, line);
    }
    return VERB_DONE;
}
