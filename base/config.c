/*
 * The tree of config.h: its memory, its errors, where each setting came from, and its way from a
 * file. It does not log, and it keeps nothing outside the tree.
 */
#include "base/config_priv.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 16384 };

/* ------------------------------------------------------------------ memory and errors */

struct config_chunk {
    struct config_chunk *next;
    size_t used;
    size_t size;
    max_align_t bytes[];
};

void *config_alloc(struct config_reader *reader, size_t count, size_t size)
{
    struct config_memo *memo = reader->config->memo;
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        reader->out_of_memory = true;
        return NULL;
    }
    bytes = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct config_chunk *chunk = memo->chunks;
    if (!chunk || chunk->size - chunk->used < bytes) {
        size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = calloc(1, sizeof *chunk + room);
        if (!chunk) {
            reader->out_of_memory = true;
            return NULL;
        }
        chunk->size = room;
        chunk->next = memo->chunks;
        memo->chunks = chunk;
    }
    void *at = (char *)chunk->bytes + chunk->used;
    chunk->used += bytes;
    return at;
}

const char *config_copy(struct config_reader *reader, const char *text)
{
    if (!text) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = config_alloc(reader, 1, size);
    if (copy) {
        memcpy(copy, text, size);
    }
    return copy;
}

void config_note(struct config_reader *reader, const char *path, struct config_mark at)
{
    struct config_memo *memo = reader->config->memo;
    if (memo->origin_count == memo->origin_max) {
        size_t room = memo->origin_max ? memo->origin_max * 2 : 64;
        struct config_origin *more = reallocarray(memo->origin, room, sizeof *more);
        if (!more) {
            reader->out_of_memory = true;
            return;
        }
        memo->origin = more;
        memo->origin_max = room;
    }
    const char *copy = config_copy(reader, path);
    if (copy) {
        memo->origin[memo->origin_count++] = (struct config_origin){copy, at};
    }
}

struct config_mark config_noted(const struct config_reader *reader, const char *path)
{
    /* Origins are not sorted yet. */
    const struct config_memo *memo = reader->config->memo;
    for (size_t i = 0; i < memo->origin_count; i++) {
        if (strcmp(memo->origin[i].path, path) == 0) {
            return memo->origin[i].at;
        }
    }
    return (struct config_mark){0};
}

void config_error(struct config_reader *reader, struct config_mark at, const char *format, ...)
{
    struct config_errors *errors = reader->errors;
    if (errors->count == CONFIG_ERRORS_MAX) {
        errors->more = true;
        return;
    }
    char *text = errors->text[errors->count++];
    int used = snprintf(text, CONFIG_ERROR_BYTES_MAX, "%.200s:", reader->file);
    assert(used >= 0 && used < CONFIG_ERROR_BYTES_MAX);
    if (at.line) {
        used += snprintf(text + used, CONFIG_ERROR_BYTES_MAX - (size_t)used, "%u:", at.line);
    }
    if (at.line && at.column) {
        used += snprintf(text + used, CONFIG_ERROR_BYTES_MAX - (size_t)used, "%u:", at.column);
    }
    text[used++] = ' ';
    assert(used >= 0 && used < CONFIG_ERROR_BYTES_MAX);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text + used, CONFIG_ERROR_BYTES_MAX - (size_t)used, format, args);
    va_end(args);
    /* Whatever stood in the file, a message is one line. */
    for (char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c)) {
            *c = '?';
        }
    }
}

/* ------------------------------------------------------------------ files */

static int origin_compare(const void *a, const void *b)
{
    const struct config_origin *x = a, *y = b;
    return strcmp(x->path, y->path);
}

int config_begin(struct config_reader *reader, const char *name, struct config_errors *errors)
{
    errors->count = 0;
    errors->more = false;
    struct config *config = calloc(1, sizeof *config);
    struct config_memo *memo = calloc(1, sizeof *memo);
    if (!config || !memo) {
        free(config);
        free(memo);
        errors->count = 1;
        (void)snprintf(errors->text[0], CONFIG_ERROR_BYTES_MAX, "%.200s: out of memory", name);
        return -ENOMEM;
    }
    config->memo = memo;
    *reader = (struct config_reader){.config = config, .errors = errors, .file = name};
    config->file = config_copy(reader, name);
    return 0;
}

int config_finish(struct config_reader *reader, struct config **ret_config)
{
    struct config_memo *memo = reader->config->memo;
    if (memo->origin_count > 0) {
        qsort(memo->origin, memo->origin_count, sizeof *memo->origin, origin_compare);
    }
    if (reader->out_of_memory) {
        reader->errors->count = 1;
        (void)snprintf(reader->errors->text[0], CONFIG_ERROR_BYTES_MAX, "%.200s: out of memory",
                       reader->file);
    }
    if (reader->errors->count > 0) {
        config_free(reader->config);
        return reader->out_of_memory ? -ENOMEM : -EINVAL;
    }
    *ret_config = reader->config;
    return 0;
}

int config_load_string(const char *text, size_t size, const char *name, struct config **ret_config,
                       struct config_errors *errors)
{
    struct config_reader reader;
    int result = config_begin(&reader, name, errors);
    if (result) {
        return result;
    }
    if (size > CONFIG_FILE_BYTES_MAX) {
        config_error(&reader, (struct config_mark){0}, "is larger than %d KiB",
                     CONFIG_FILE_BYTES_MAX / 1024);
    } else {
        const struct config_value *root = config_parse_libconfig(&reader, text, size);
        if (root) {
            config_read_tree(&reader, root);
        }
        if (root && !reader.out_of_memory) {
            config_check(&reader);
        }
    }
    return config_finish(&reader, ret_config);
}

int config_load(const char *path, struct config **ret_config, struct config_errors *errors)
{
    errors->count = 0;
    errors->more = false;
    int result = 0;
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 2);
    FILE *file = fopen(path, "rb");
    if (!file || !text) {
        result = -errno;
    } else {
        /* One byte more than is legal, so that too large a file is told from a full buffer. */
        size_t size = fread(text, 1, CONFIG_FILE_BYTES_MAX + 1, file);
        result = ferror(file) ? -errno : config_load_string(text, size, path, ret_config, errors);
    }
    if (result && errors->count == 0) {
        errors->count = 1;
        (void)snprintf(errors->text[0], CONFIG_ERROR_BYTES_MAX,
                       "%.200s: %s; write one with `shunt init -o %.100s`", path, strerror(-result),
                       path);
    }
    if (file) {
        (void)fclose(file);
    }
    free(text);
    return result;
}

void config_free(struct config *config)
{
    if (!config) {
        return;
    }
    if (config->memo) {
        struct config_chunk *chunk = config->memo->chunks;
        while (chunk) {
            struct config_chunk *next = chunk->next;
            free(chunk);
            chunk = next;
        }
        free(config->memo->origin);
        free(config->memo);
    }
    free(config);
}

uint32_t config_line(const struct config *config, const char *path)
{
    const struct config_origin key = {.path = path};
    const struct config_memo *memo = config->memo;
    const struct config_origin *found =
        memo->origin_count
            ? bsearch(&key, memo->origin, memo->origin_count, sizeof key, origin_compare)
            : NULL;
    return found ? found->at.line : 0;
}
