/*
 * Runs a fuzz target once over every file of the folders named on the command line, without
 * libFuzzer: in ordinary builds the corpus is a regression test.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    size_t size = 0, room = 1 << 16;
    uint8_t *data = malloc(room);
    for (size_t got; data && (got = fread(data + size, 1, room - size, file)) > 0;) {
        size += got;
        if (size == room) {
            room *= 2;
            data = realloc(data, room);
        }
    }
    fclose(file);
    if (!data) {
        perror("corpus_main");
        return 1;
    }
    /* An exact copy, so that the sanitizer sees a read of one byte past the end. */
    uint8_t *exact = malloc(size ? size : 1);
    if (exact) {
        memcpy(exact, data, size);
        (void)LLVMFuzzerTestOneInput(exact, size);
    }
    free(exact);
    free(data);
    return exact ? 0 : 1;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir) {
            perror(argv[i]);
            return 1;
        }
        for (const struct dirent *entry; (entry = readdir(dir));) {
            if (entry->d_name[0] == '.') {
                continue;
            }
            char path[4096];
            (void)snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (run_file(path)) {
                return 1;
            }
            count++;
        }
        closedir(dir);
    }
    printf("%u corpus files\n", count);
    return count ? 0 : 1;
}
