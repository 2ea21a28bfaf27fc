/*
 * API keys of clients: a file of NAME:HASH lines, so that whoever reads it learns no key.
 *
 * A key is 32 random bytes behind "sk-shunt-"; because it is random, one pass of BLAKE2b-256 with
 * the file format's own domain is enough, and a check costs microseconds on the request path (a
 * slow password hash would let clients stall the host). NAME is the tenant of the requests. Lines
 * that begin with # are comments. Keys themselves are never stored, printed in errors or logged.
 */
#ifndef BASE_KEYS_H
#define BASE_KEYS_H

#include "base/span.h"

#include <stdint.h>

enum {
    KEYS_MAX = 10000, /* keys in a file; a name may have several */
    KEYS_NAME_BYTES_MAX = 64,
    KEYS_FILE_BYTES_MAX = 4 << 20,
    KEYS_HASH_BYTES = 32,
    KEYS_TOKEN_BYTES_MAX = 512, /* of a key that a client sends */
    KEYS_TOKEN_SIZE = 64        /* room for a key made by keys_make, with its NUL */
};

struct keys;

/* Reads a file. 0 and
 * *ret_keys, to be given to keys_free; -EINVAL with "FILE:LINE: ..." in `err`, -ENOMEM, errors of
 * open(2) and read(2). A file without keys is an error: nobody could connect. */
int keys_load(const char *path, struct keys **ret_keys, char *err, size_t err_size);

/* Accepts NULL. */
void keys_free(struct keys *keys);

uint32_t keys_count(const struct keys *keys);

/* Name of the tenant whose key this is, valid as long as `keys`; NULL if it is nobody's. The time
 * taken depends on the number of keys, not on how much of one is right. */
const char *keys_find(const struct keys *keys, struct span key);

/* Whether a name can stand in the file: letters, digits, '-', '_', '.', at most 64. */
bool keys_name_is_legal(const char *name);

/* Draws a new key into `token` and writes its line, "NAME:HASH" without an end of line, to `line`.
 * -EINVAL for an illegal name, -ENOSPC, -EIO if there is no randomness. */
int keys_make(const char *name, char token[KEYS_TOKEN_SIZE], char *line, size_t line_size);

#endif
