/*
 * Reads and makes API keys. It logs nothing, and no error of it repeats a key.
 */
#include "base/keys.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKEN_PREFIX "sk-shunt-"

enum { HEX_SIZE = 2 * KEYS_HASH_BYTES + 1, RANDOM_BYTES = 32 };

/* Keeps these hashes apart from hashes of the same bytes made elsewhere. */
static const unsigned char hash_domain[] = "shunt api key 1";

struct key {
    unsigned char hash[KEYS_HASH_BYTES];
    char name[KEYS_NAME_BYTES_MAX + 1];
};

struct keys {
    uint32_t count;
    struct key item[];
};

bool keys_name_is_legal(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= KEYS_NAME_BYTES_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
               length;
}

static void hash_key(struct span key, unsigned char hash[KEYS_HASH_BYTES])
{
    (void)crypto_generichash(hash, KEYS_HASH_BYTES, (const unsigned char *)key.data, key.len,
                             hash_domain, sizeof hash_domain - 1);
}

/* One line, terminated, without its end. 1 if it held a key, 0 if not. */
static int parse_line(char *line, struct key *ret_key, const char **ret_why)
{
    size_t end = strlen(line);
    while (end > 0 && strchr(" \t\r", line[end - 1])) {
        line[--end] = '\0';
    }
    if (line[0] == '\0' || line[0] == '#') {
        return 0;
    }
    char *colon = strchr(line, ':');
    if (!colon) {
        *ret_why = "wants NAME:HASH as `shunt key NAME` prints it";
        return -EINVAL;
    }
    *colon = '\0';
    if (!keys_name_is_legal(line)) {
        *ret_why = "the name takes letters, digits, '-', '_', '.', 64 at most";
        return -EINVAL;
    }
    size_t length = 0;
    const char *stop = NULL;
    if (strlen(colon + 1) != HEX_SIZE - 1 ||
        sodium_hex2bin(ret_key->hash, KEYS_HASH_BYTES, colon + 1, HEX_SIZE - 1, NULL, &length,
                       &stop) ||
        length != KEYS_HASH_BYTES) {
        *ret_why = "the hash wants 64 hexadecimal digits; is this a key itself? `shunt key NAME` "
                   "prints what belongs here";
        return -EINVAL;
    }
    (void)snprintf(ret_key->name, sizeof ret_key->name, "%s", line);
    return 1;
}

static int parse_file(FILE *file, const char *path, struct keys *keys, char *err, size_t err_size)
{
    char line[512];
    for (uint32_t number = 1; fgets(line, sizeof line, file); number++) {
        const char *why = "the line is too long";
        size_t length = strlen(line);
        int got = -EINVAL;
        if (length > 0 && line[length - 1] == '\n') {
            line[length - 1] = '\0';
            got = parse_line(line, &keys->item[keys->count], &why);
        } else if (feof(file)) {
            got = parse_line(line, &keys->item[keys->count], &why);
        }
        if (got == 1 && ++keys->count > KEYS_MAX) {
            why = "there are more keys than 10000";
            got = -EINVAL;
        }
        if (got < 0) {
            (void)snprintf(err, err_size, "%.200s:%u: %s", path, number, why);
            return got;
        }
    }
    if (ferror(file)) {
        (void)snprintf(err, err_size, "%.200s: %s", path, strerror(errno));
        return -errno;
    }
    if (keys->count == 0) {
        (void)snprintf(err, err_size, "%.200s: holds no key; `shunt key NAME` makes one", path);
        return -EINVAL;
    }
    return 0;
}

int keys_load(const char *path, struct keys **ret_keys, char *err, size_t err_size)
{
    if (sodium_init() < 0) {
        (void)snprintf(err, err_size, "libsodium does not start");
        return -EIO;
    }
    FILE *file = fopen(path, "rb");
    if (!file) {
        int result = -errno;
        (void)snprintf(err, err_size, "%.200s: %s", path, strerror(errno));
        return result;
    }
    struct keys *keys = calloc(1, sizeof *keys + (KEYS_MAX + 1) * sizeof keys->item[0]);
    int result = -ENOMEM;
    if (keys) {
        result = parse_file(file, path, keys, err, err_size);
    } else {
        (void)snprintf(err, err_size, "out of memory");
    }
    (void)fclose(file);
    if (result) {
        keys_free(keys);
        return result;
    }
    /* Gives back what a short file does not need. */
    struct keys *small = realloc(keys, sizeof *keys + keys->count * sizeof keys->item[0]);
    *ret_keys = small ? small : keys;
    return 0;
}

void keys_free(struct keys *keys)
{
    free(keys);
}

uint32_t keys_count(const struct keys *keys)
{
    return keys->count;
}

const char *keys_find(const struct keys *keys, struct span key)
{
    if (key.len == 0 || key.len > KEYS_TOKEN_BYTES_MAX) {
        return NULL;
    }
    unsigned char hash[KEYS_HASH_BYTES];
    hash_key(key, hash);
    const char *name = NULL;
    for (uint32_t i = 0; i < keys->count; i++) {
        if (sodium_memcmp(hash, keys->item[i].hash, sizeof hash) == 0) {
            name = keys->item[i].name;
        }
    }
    return name;
}

int keys_make(const char *name, char token[KEYS_TOKEN_SIZE], char *line, size_t line_size)
{
    if (!keys_name_is_legal(name)) {
        return -EINVAL;
    }
    if (sodium_init() < 0) {
        return -EIO;
    }
    unsigned char random[RANDOM_BYTES], hash[KEYS_HASH_BYTES];
    char text[HEX_SIZE];
    randombytes_buf(random, sizeof random);
    (void)snprintf(token, KEYS_TOKEN_SIZE, "%s", TOKEN_PREFIX);
    (void)sodium_bin2base64(token + sizeof TOKEN_PREFIX - 1,
                            KEYS_TOKEN_SIZE - (sizeof TOKEN_PREFIX - 1), random, sizeof random,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof random);
    hash_key(span_of_string(token), hash);
    (void)sodium_bin2hex(text, sizeof text, hash, sizeof hash);
    int used = snprintf(line, line_size, "%s:%s", name, text);
    return used > 0 && (size_t)used < line_size ? 0 : -ENOSPC;
}
