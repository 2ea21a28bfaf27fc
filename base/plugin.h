/*
 * Loading policy files. A file is copied once into sealed memory, hashed and judged by its bytes;
 * only then is exactly that copy mapped. Until dlopen returns nothing of the file has run, because
 * a file with code that would run at load time is refused.
 *
 * Refusing is hygiene, not a sandbox: a policy in this process is as trusted as the process. Trust
 * comes from an allow-list or a signature over plugin_file_bytes, checked between plugin_stage and
 * plugin_map, or from isolation.
 *
 * Mappings are keyed by content hash and stay for the life of the process: unmapping code that
 * somebody may still reach costs a process, keeping an unused copy costs some 20 KiB.
 *
 * Not thread-safe; one registry a process.
 */
#ifndef BASE_PLUGIN_H
#define BASE_PLUGIN_H

#include "base/elf_facts.h"
#include "base/params.h"

#include <shunt/policy.h>

enum {
    PLUGIN_FILE_BYTES_MAX = 16 * 1024 * 1024,
    PLUGIN_MAPPED_MAX = 64, /* different files a process maps in its life */
    PLUGIN_ID_BYTES_MAX = 63,
    PLUGIN_VERSION_BYTES_MAX = 31,
    PLUGIN_LICENCE_BYTES_MAX = 63,
    PLUGIN_SUMMARY_BYTES_MAX = 255,
    PLUGIN_REQUIRES_MAX = 16,
    PLUGIN_HASH_BYTES = 32,
    PLUGIN_ERROR_BYTES = 512 /* a good size for `err` */
};

/* The note's facts. */
struct plugin_note {
    char id[PLUGIN_ID_BYTES_MAX + 1];
    char version[PLUGIN_VERSION_BYTES_MAX + 1];
    char licence[PLUGIN_LICENCE_BYTES_MAX + 1];
    char summary[PLUGIN_SUMMARY_BYTES_MAX + 1];
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t abi_minor_min;
    uint32_t state_schema;
};

/* Parses the text of a note; fuzzed. -EINVAL with one line in `err`. */
int plugin_note_parse(struct plugin_note *ret_note, const char *text, char *err, size_t err_size);

/* ------------------------------------------------------------------ staging */

/* A policy file, copied and judged but not mapped. */
struct plugin_file;

/*
 * Reads `path` once (a regular file, not writable by everyone, at most PLUGIN_FILE_BYTES_MAX) into
 * sealed memory and judges it. Where the system forbids executable memory files, the copy is an
 * unnamed file in $TMPDIR or /tmp instead, which only this user can reach.
 * Returns 0 or, with one line "PATH: ..." in `err`: -EPERM for "PATH: refused: why", else the
 * error of the file operation.
 */
int plugin_stage(const char *path, struct plugin_file **ret_file, char *err, size_t err_size);

/* Frees the copy unless it was mapped. NULL is fine. */
void plugin_file_destroy(struct plugin_file *file);

const struct plugin_note *plugin_file_note(const struct plugin_file *file);
const struct elf_facts *plugin_file_facts(const struct plugin_file *file);
/* BLAKE2b-256 of the bytes in lower-case hex. */
const char *plugin_file_hash(const struct plugin_file *file);
/* The sealed bytes, for a signature check. */
const void *plugin_file_bytes(const struct plugin_file *file, size_t *ret_size);

/* ------------------------------------------------------------------ mapping */

/* A mapped policy. All members are read-only and live as long as the process. */
struct plugin {
    struct plugin_note note;
    char hash[2 * PLUGIN_HASH_BYTES + 1];
    char *path;                  /* of its first load; "(built in)" */
    uint32_t abi_minor;          /* the smaller of the host's and the plugin's */
    struct shunt_plugin entry;   /* copy; what the plugin did not know is zero */
    struct shunt_policy_ops ops; /* copy, likewise */
    struct params_schema schema;
};

struct plugin_registry;

/*
 * `extensions`: ids of the extensions that this host offers, ended by NULL; NULL for none. Kept.
 * -ENOMEM, -EIO (no random numbers: libsodium does not start).
 */
int plugin_registry_create(const char *const *extensions, struct plugin_registry **ret_registry);

/* Frees the registry. What was mapped stays mapped; `struct plugin` from plugin_map are gone. */
void plugin_registry_destroy(struct plugin_registry *registry);

/*
 * Maps a staged file, or finds the mapping of the same bytes, and checks the exported entry
 * against the note. Takes `file` in every case. Errors as plugin_stage, and -ENOSPC when
 * PLUGIN_MAPPED_MAX files are mapped.
 */
int plugin_map(struct plugin_registry *registry, struct plugin_file *file,
               const struct plugin **ret_plugin, char *err, size_t err_size);

/* plugin_stage, then plugin_map. */
int plugin_load(struct plugin_registry *registry, const char *path,
                const struct plugin **ret_plugin, char *err, size_t err_size);

/* Registers a policy linked into the program; its hash is all zeros. Errors as plugin_map. */
int plugin_builtin(struct plugin_registry *registry, const struct shunt_plugin *entry,
                   const struct plugin **ret_plugin, char *err, size_t err_size);

/* Number of files mapped so far. */
uint32_t plugin_mapped_count(const struct plugin_registry *registry);

#endif
