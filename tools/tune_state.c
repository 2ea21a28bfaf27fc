/*
 * What a search has learned, in a file that outlives it: a line of JSON for each evaluation, whole
 * or not there, after a first line that says what they depend on. A line that was cut off by the
 * end of the process is dropped when the file is opened again.
 */
#include "base/fail.h"
#include "tools/tune_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIGURES = TUNE_OBJECTIVES + TUNE_QUARTERS + 1, STATE_BYTES_MAX = 1 << 30 };

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static double number(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static json_t *run_json(const struct tune_run *run)
{
    json_t *row = json_array();
    for (uint32_t i = 0; i < TUNE_OBJECTIVES; i++) {
        (void)json_array_append_new(row, real(run->value[i]));
    }
    for (uint32_t i = 0; i < TUNE_QUARTERS; i++) {
        (void)json_array_append_new(row, real(run->quarter_s[i]));
    }
    (void)json_array_append_new(row, real(run->cycles));
    return row;
}

int tune_state_find(const struct tune_state *state, const char *key, struct tune_run *runs,
                    uint32_t count)
{
    const json_t *rows = state->known ? json_object_get(state->known, key) : NULL;
    if (!rows || json_array_size(rows) != count) {
        return 0;
    }
    for (uint32_t r = 0; r < count; r++) {
        const json_t *row = json_array_get(rows, r);
        if (json_array_size(row) != FIGURES) {
            return 0;
        }
        for (uint32_t i = 0; i < TUNE_OBJECTIVES; i++) {
            runs[r].value[i] = number(json_array_get(row, i));
        }
        for (uint32_t i = 0; i < TUNE_QUARTERS; i++) {
            runs[r].quarter_s[i] = number(json_array_get(row, TUNE_OBJECTIVES + i));
        }
        runs[r].cycles = number(json_array_get(row, FIGURES - 1));
    }
    return 1;
}

/* One write of a whole line: what other processes and later ones see has no half of it. */
static int append(struct tune_state *state, const json_t *line, char *err, size_t err_size)
{
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    size_t size = text ? strlen(text) : 0;
    char *whole = text ? realloc(text, size + 1) : NULL;
    if (!whole) {
        free(text);
        return fail(-ENOMEM, err, err_size, "out of memory");
    }
    whole[size] = '\n';
    ssize_t put = write(state->fd, whole, size + 1);
    int rc = put == (ssize_t)size + 1 ? 0 : put < 0 ? -errno : -EIO;
    free(whole);
    return rc ? fail(rc, err, err_size, "--resume: %s: %s", state->path, strerror(-rc)) : 0;
}

int tune_state_add(struct tune_state *state, const char *key, const struct tune_run *runs,
                   uint32_t count, char *err, size_t err_size)
{
    if (!state->path) {
        return 0;
    }
    json_t *rows = json_array();
    for (uint32_t r = 0; r < count; r++) {
        (void)json_array_append_new(rows, run_json(&runs[r]));
    }
    json_t *line = json_pack("{s:s, s:o}", "key", key, "runs", rows);
    int rc = append(state, line, err, err_size);
    json_decref(line);
    return rc;
}

/* ------------------------------------------------------------------ opening */

static int read_all(int fd, char **ret_text, size_t *ret_size)
{
    struct stat st;
    if (fstat(fd, &st)) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > STATE_BYTES_MAX) {
        return -EFBIG;
    }
    size_t size = (size_t)st.st_size, used = 0;
    char *text = malloc(size + 1);
    while (text && used < size) {
        ssize_t got = read(fd, text + used, size - used);
        if (got <= 0 && errno != EINTR) {
            free(text);
            return got < 0 ? -errno : -EIO;
        }
        used += got > 0 ? (size_t)got : 0;
    }
    *ret_text = text;
    *ret_size = used;
    return text ? 0 : -ENOMEM;
}

static int take_line(struct tune_state *state, const char *text, size_t size, unsigned number_,
                     const json_t *header, char *err, size_t err_size)
{
    json_t *line = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    int rc = 0;
    if (number_ == 1) {
        rc = line && json_equal(line, header)
                 ? 0
                 : fail(-EINVAL, err, err_size,
                        "--resume: %s: it is of another policy, version, scenario or seed; "
                        "give another file, or remove this one",
                        state->path);
    } else {
        const char *key = json_string_value(json_object_get(line, "key"));
        json_t *runs = json_object_get(line, "runs");
        rc = key && json_is_array(runs) && json_object_set(state->known, key, runs) == 0
                 ? 0
                 : fail(-EINVAL, err, err_size, "--resume: %s:%u: it is no evaluation", state->path,
                        number_);
        state->found += rc == 0;
    }
    json_decref(line);
    return rc;
}

int tune_state_open(struct tune_state *state, const char *path, const json_t *header, char *err,
                    size_t err_size)
{
    char *text = NULL;
    size_t size = 0, at = 0;
    *state = (struct tune_state){.path = path, .known = json_object()};
    state->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    int rc = state->fd < 0 ? -errno : state->known ? read_all(state->fd, &text, &size) : -ENOMEM;
    if (rc) {
        return fail(rc, err, err_size, "--resume: %s: %s", path, strerror(-rc));
    }
    for (unsigned line = 1; !rc && at < size; line++) {
        const char *end = memchr(text + at, '\n', size - at);
        if (!end) {
            break;
        }
        size_t length = (size_t)(end - (text + at));
        rc = take_line(state, text + at, length, line, header, err, err_size);
        at += length + 1;
    }
    free(text);
    if (!rc && at < size && at == 0) {
        /* Not a line at all: this is somebody's file, and not to be touched. */
        rc = fail(-EINVAL, err, err_size, "--resume: %s: it is no state of a search", path);
    }
    if (!rc && at < size && ftruncate(state->fd, (off_t)at)) {
        rc = fail(-errno, err, err_size, "--resume: %s: %s", path, strerror(errno));
    }
    return !rc && at == 0 ? append(state, header, err, err_size) : rc;
}

void tune_state_close(struct tune_state *state)
{
    if (state->path && state->fd >= 0) {
        (void)close(state->fd);
    }
    json_decref(state->known);
    *state = (struct tune_state){.path = NULL};
}
