/*
 * Policy files: sealed copy, judgement by the bytes, mapping.
 *
 * Traps that shape this file, all measured: dlopen runs constructors and IFUNC resolvers before it
 * returns, so they must be seen in the bytes; dlopen recognises a library by name, so the file
 * descriptor whose /proc link was opened is never closed (its number, reused, would return the OLD
 * library); a mapped file that is truncated kills the process, hence the seals.
 */
#include "base/plugin.h"

#include "base/fail.h"

#include <assert.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define HOST_MACHINE EM_AARCH64
#else
#error "policies are mapped on 64-bit little-endian x86 and ARM only"
#endif

#define ENTRY_SYMBOL "shunt_plugin_v1"

struct plugin_file {
    int fd; /* of the copy; -1 once handed over */
    void *bytes;
    size_t size;
    char *path;
    char hash[2 * PLUGIN_HASH_BYTES + 1];
    struct plugin_note note;
    struct elf_facts facts;
};

/* One file that was mapped, good or not: what was mapped once stays. */
struct mapping {
    struct plugin plugin;
    char refusal[PLUGIN_ERROR_BYTES]; /* not empty: mapped, but its entry was refused with this */
};

struct plugin_registry {
    const char *const *extensions;
    uint32_t count;
    struct mapping *mapping[PLUGIN_MAPPED_MAX];
};

/* ------------------------------------------------------------------ note */

static bool id_is_valid(const char *id)
{
    return id[0] >= 'a' && id[0] <= 'z' &&
           strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(id);
}

static bool line_is_text(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool version_is_valid(const char *version)
{
    return version[0] >= '0' && version[0] <= '9' &&
           strspn(version, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-+") ==
               strlen(version);
}

static int note_number(const char *text, uint32_t *ret_value)
{
    if (text[0] < '0' || text[0] > '9' || strlen(text) > 9) {
        return -EINVAL;
    }
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (*end) {
        return -EINVAL;
    }
    *ret_value = (uint32_t)value;
    return 0;
}

/* Keys of the note, each exactly once; what this host does not know is ignored. */
enum { NOTE_KEYS = 8 };

int plugin_note_parse(struct plugin_note *ret_note, const char *text, char *err, size_t err_size)
{
    struct plugin_note note = {0};
    const struct {
        const char *name;
        char *text;
        size_t size;
        uint32_t *number;
    } keys[NOTE_KEYS] = {
        {"id", note.id, sizeof note.id, NULL},
        {"version", note.version, sizeof note.version, NULL},
        {"licence", note.licence, sizeof note.licence, NULL},
        {"summary", note.summary, sizeof note.summary, NULL},
        {"abi_major", NULL, 0, &note.abi_major},
        {"abi_minor", NULL, 0, &note.abi_minor},
        {"abi_minor_min", NULL, 0, &note.abi_minor_min},
        {"state_schema", NULL, 0, &note.state_schema},
    };
    bool seen[NOTE_KEYS] = {false};
    while (*text) {
        const char *end = strchr(text, '\n');
        size_t length = end ? (size_t)(end - text) : strlen(text);
        const char *equals = memchr(text, '=', length);
        if (!equals) {
            return fail(-EINVAL, err, err_size, "its note has a line without \"=\"");
        }
        for (size_t i = 0; i < NOTE_KEYS; i++) {
            size_t name_bytes = (size_t)(equals - text);
            if (strlen(keys[i].name) != name_bytes || memcmp(keys[i].name, text, name_bytes) != 0) {
                continue;
            }
            char value[PLUGIN_SUMMARY_BYTES_MAX + 1];
            size_t value_bytes = length - name_bytes - 1;
            size_t room = keys[i].number ? 16 : keys[i].size;
            if (seen[i] || value_bytes >= room) {
                return fail(-EINVAL, err, err_size, "its note has \"%s\" twice or too long",
                            keys[i].name);
            }
            memcpy(value, equals + 1, value_bytes);
            value[value_bytes] = '\0';
            seen[i] = true;
            if (keys[i].text) {
                memcpy(keys[i].text, value, value_bytes + 1);
            } else if (note_number(value, keys[i].number) != 0) {
                return fail(-EINVAL, err, err_size, "its note's \"%s\" is not a number",
                            keys[i].name);
            }
        }
        text += length + (end != NULL);
    }
    for (size_t i = 0; i < NOTE_KEYS; i++) {
        if (!seen[i]) {
            return fail(-EINVAL, err, err_size, "its note lacks \"%s\"", keys[i].name);
        }
    }
    if (!id_is_valid(note.id)) {
        return fail(-EINVAL, err, err_size, "its note's id is not [a-z][a-z0-9_]*");
    }
    if (!version_is_valid(note.version)) {
        return fail(-EINVAL, err, err_size, "its note's version is not like \"1.2.3\"");
    }
    if (!line_is_text(note.summary) || !line_is_text(note.licence)) {
        return fail(-EINVAL, err, err_size, "its note has unprintable text");
    }
    *ret_note = note;
    return 0;
}

/* ------------------------------------------------------------------ judgement by the bytes */

/* What a policy may take from outside: memory and string functions without state, functions of libm
 * whose result IEEE 754 fixes, and what the compiler adds by itself. */
static const char *const allowed_imports[] = {
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "memchr",
    "strlen",
    "strnlen",
    "strcmp",
    "strncmp",
    "strchr",
    "strrchr",

    "__memcpy_chk",
    "__memmove_chk",
    "__memset_chk",

    "__stack_chk_fail",
    "__assert_fail",
    "abort",
    "floor",
    "ceil",
    "trunc",
    "round",
    "rint",
    "fabs",
    "fmin",
    "fmax",
    "sqrt",
    "lround",
    "llround",
    "bcmp",
};
/* Weak ones of the compiler's start files, which are never called here. */
static const char *const allowed_weak[] = {
    "__cxa_finalize",
    "__gmon_start__",
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
};
static const char *const allowed_libraries[] = {
    "libc.so.6",
    "libm.so.6",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
};

static bool is_listed(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

#define LISTED(name, list) is_listed((name), (list), sizeof(list) / sizeof((list)[0]))

/* Checks of the undefined-behaviour sanitizer, in a policy that was built for one. */
static bool is_import_allowed(const char *name)
{
    return LISTED(name, allowed_imports) || strncmp(name, "__ubsan_handle_", 15) == 0;
}

static bool has_name(const struct elf_names *names, const char *name)
{
    for (uint32_t i = 0; i < names->count && i < ELF_NAMES_MAX; i++) {
        if (strcmp(names->name[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static int judge_machine(const struct elf_facts *facts, char *why, size_t size)
{
    char theirs[32], ours[32];
    if (facts->elf_class != ELFCLASS64 || facts->data != ELFDATA2LSB ||
        facts->machine != HOST_MACHINE) {
        return fail(-EPERM, why, size, "built for %s (%s bit, %s endian), this host is %s",
                    elf_machine_name(facts->machine, theirs, sizeof theirs),
                    facts->elf_class == ELFCLASS64 ? "64" : "32",
                    facts->data == ELFDATA2LSB ? "little" : "big",
                    elf_machine_name(HOST_MACHINE, ours, sizeof ours));
    }
    if (facts->type != ET_DYN || !facts->has_dynamic) {
        return fail(-EPERM, why, size, "not a shared object");
    }
    return 0;
}

static int judge_note(const struct elf_facts *facts, struct plugin_note *ret_note, char *why,
                      size_t size)
{
    if (!facts->has_note) {
        return fail(-EPERM, why, size,
                    "no policy note (%s): not a policy, or built without SHUNT_POLICY_DEFINE",
                    SHUNT_NOTE_SECTION);
    }
    if (facts->note_too_long) {
        return fail(-EPERM, why, size, "its note is longer than %d bytes", ELF_NOTE_BYTES_MAX);
    }
    if (plugin_note_parse(ret_note, facts->note, why, size) != 0) {
        return -EPERM;
    }
    if (ret_note->abi_major != SHUNT_ABI_MAJOR) {
        return fail(-EPERM, why, size, "needs ABI %u.x, host offers %u.%u", ret_note->abi_major,
                    SHUNT_ABI_MAJOR, SHUNT_ABI_MINOR);
    }
    if (ret_note->abi_minor_min > SHUNT_ABI_MINOR) {
        return fail(-EPERM, why, size, "needs ABI %u.%u or later, host offers %u.%u",
                    ret_note->abi_major, ret_note->abi_minor_min, SHUNT_ABI_MAJOR, SHUNT_ABI_MINOR);
    }
    return 0;
}

/* Anything by which code of the file would run, or something else be loaded, inside dlopen. */
static int judge_load_time(const struct elf_facts *facts, char *why, size_t size)
{
    if (facts->has_init) {
        return fail(-EPERM, why, size,
                    "has code that runs when it is loaded (constructors); link with -nostartfiles "
                    "and without constructors");
    }
    if (facts->has_irelative) {
        return fail(-EPERM, why, size, "has an indirect function, whose resolver runs at load");
    }
    if (facts->has_fini) {
        return fail(-EPERM, why, size, "has code that runs when it is unloaded (destructors)");
    }
    for (uint32_t i = 0; i < facts->needed.count; i++) {
        if (i >= ELF_NAMES_MAX || !LISTED(facts->needed.name[i], allowed_libraries)) {
            return fail(-EPERM, why, size, "needs library %s; a policy may need libc and libm only",
                        i < ELF_NAMES_MAX ? facts->needed.name[i] : "(too many to name)");
        }
    }
    if (facts->has_rpath) {
        return fail(-EPERM, why, size, "has an RPATH or RUNPATH");
    }
    return 0;
}

static int judge_layout(const struct elf_facts *facts, char *why, size_t size)
{
    static const char relink[] = "build it with shunt_add_policy() or its flags";
    const char *what = facts->has_tls             ? "uses thread-local storage"
                       : facts->has_textrel       ? "has text relocations (not built with -fPIC)"
                       : facts->has_exec_stack    ? "asks for an executable stack"
                       : facts->has_writable_code ? "has memory both writable and executable"
                       : facts->has_unique        ? "has GNU_UNIQUE symbols (C++ statics)"
                       : !facts->has_bind_now     ? "is not linked with -z now"
                       : !facts->has_relro        ? "is not linked with -z relro"
                                                  : NULL;
    return what ? fail(-EPERM, why, size, "%s; %s", what, relink) : 0;
}

static int judge_symbols(const struct elf_facts *facts, char *why, size_t size)
{
    if (!has_name(&facts->exported, ENTRY_SYMBOL)) {
        return fail(-EPERM, why, size, "does not export %s", ENTRY_SYMBOL);
    }
    for (uint32_t i = 0; i < facts->exported.count && i < ELF_NAMES_MAX; i++) {
        if (strcmp(facts->exported.name[i], ENTRY_SYMBOL) != 0) {
            return fail(-EPERM, why, size,
                        "exports %s besides %s; build it with -fvisibility=hidden or a version "
                        "script",
                        facts->exported.name[i], ENTRY_SYMBOL);
        }
    }
    for (uint32_t i = 0; i < facts->undefined.count; i++) {
        if (i >= ELF_NAMES_MAX || !is_import_allowed(facts->undefined.name[i])) {
            return fail(-EPERM, why, size,
                        "uses %s, which is not among the functions a policy may use",
                        i < ELF_NAMES_MAX ? facts->undefined.name[i] : "too many functions");
        }
    }
    for (uint32_t i = 0; i < facts->undefined_weak.count; i++) {
        const char *name = i < ELF_NAMES_MAX ? facts->undefined_weak.name[i] : "";
        if (!LISTED(name, allowed_weak) && !is_import_allowed(name)) {
            return fail(-EPERM, why, size,
                        "uses %s, which is not among the functions a policy may use",
                        name[0] ? name : "too many functions");
        }
    }
    return 0;
}

/* -EPERM with the reason in `why` unless the file is fit to be mapped. */
static int judge(struct plugin_file *file, char *why, size_t size)
{
    if (elf_facts_read(&file->facts, file->bytes, file->size, "shunt", SHUNT_NOTE_TYPE, why,
                       size) != 0) {
        return -EPERM;
    }
    int rc = judge_machine(&file->facts, why, size);
    if (rc == 0) {
        rc = judge_note(&file->facts, &file->note, why, size);
    }
    if (rc == 0) {
        rc = judge_load_time(&file->facts, why, size);
    }
    if (rc == 0) {
        rc = judge_layout(&file->facts, why, size);
    }
    if (rc == 0) {
        rc = judge_symbols(&file->facts, why, size);
    }
    return rc;
}

/* ------------------------------------------------------------------ sealed copy */

/* A descriptor for an unnamed file that may be mapped executable; *ret_sealable tells whether it
 * takes seals. */
static int open_copy(bool *ret_sealable)
{
    int fd = memfd_create("shunt-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create("shunt-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING); /* before Linux 6.3 */
    }
    *ret_sealable = fd >= 0;
    if (fd < 0) {
        const char *folder = getenv("TMPDIR");
        fd = open(folder && folder[0] == '/' ? folder : "/tmp",
                  O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0500);
    }
    return fd >= 0 ? fd : -errno;
}

static int copy_bytes(int from, int to, size_t limit, size_t *ret_size)
{
    static const size_t piece = 64 * 1024;
    char *buffer = malloc(piece);
    if (!buffer) {
        return -ENOMEM;
    }
    size_t size = 0;
    int rc = 0;
    while (rc == 0) {
        ssize_t got = read(from, buffer, piece);
        if (got <= 0) {
            rc = got < 0 && errno != EINTR ? -errno : 0;
            if (got == 0) {
                break;
            }
            continue;
        }
        size += (size_t)got;
        rc = size > limit ? -EFBIG : 0;
        for (ssize_t done = 0; rc == 0 && done < got;) {
            ssize_t put = write(to, buffer + done, (size_t)(got - done));
            if (put > 0) {
                done += put;
            } else if (errno != EINTR) {
                rc = -errno;
            }
        }
    }
    free(buffer);
    *ret_size = size;
    return rc;
}

static int open_source(const char *path, char *err, size_t err_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int rc = -errno;
        return fail(rc, err, err_size, "%s: %s", path, strerror(-rc));
    }
    struct stat info;
    int rc = fstat(fd, &info) != 0 ? -errno : 0;
    if (rc) {
        (void)fail(rc, err, err_size, "%s: %s", path, strerror(-rc));
    } else if (!S_ISREG(info.st_mode)) {
        rc = fail(-EPERM, err, err_size, "%s: refused: not a regular file", path);
    } else if (info.st_mode & S_IWOTH) {
        rc = fail(-EPERM, err, err_size, "%s: refused: everyone may write it (chmod o-w)", path);
    }
    if (rc) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

/* Fills fd, bytes and size of `file` with an unchangeable copy of what `path` holds now. */
static int make_copy(struct plugin_file *file, const char *path, char *err, size_t err_size)
{
    int source = open_source(path, err, err_size);
    if (source < 0) {
        return source;
    }
    bool sealable = false;
    int rc = open_copy(&sealable);
    if (rc < 0) {
        (void)fail(rc, err, err_size, "%s: no memory file for it: %s", path, strerror(-rc));
        (void)close(source);
        return rc;
    }
    file->fd = rc;
    rc = copy_bytes(source, file->fd, PLUGIN_FILE_BYTES_MAX, &file->size);
    (void)close(source);
    if (rc == -EFBIG) {
        return fail(-EPERM, err, err_size, "%s: refused: larger than %d bytes", path,
                    PLUGIN_FILE_BYTES_MAX);
    }
    if (rc == 0 && sealable &&
        fcntl(file->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) !=
            0) {
        rc = -errno;
    }
    if (rc) {
        return fail(rc, err, err_size, "%s: cannot be copied: %s", path, strerror(-rc));
    }
    if (file->size == 0) {
        return fail(-EPERM, err, err_size, "%s: refused: empty", path);
    }
    void *bytes = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, file->fd, 0);
    if (bytes == MAP_FAILED) {
        rc = -errno;
        return fail(rc, err, err_size, "%s: cannot be mapped: %s", path, strerror(-rc));
    }
    file->bytes = bytes;
    return 0;
}

void plugin_file_destroy(struct plugin_file *file)
{
    if (!file) {
        return;
    }
    if (file->bytes) {
        (void)munmap(file->bytes, file->size);
    }
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    free(file->path);
    free(file);
}

static void hash_hex(const void *bytes, size_t size, char hex[2 * PLUGIN_HASH_BYTES + 1])
{
    unsigned char hash[PLUGIN_HASH_BYTES];
    (void)crypto_generichash(hash, sizeof hash, bytes, size, NULL, 0);
    (void)sodium_bin2hex(hex, 2 * PLUGIN_HASH_BYTES + 1, hash, sizeof hash);
}

int plugin_stage(const char *path, struct plugin_file **ret_file, char *err, size_t err_size)
{
    struct plugin_file *file = calloc(1, sizeof *file);
    if (!file) {
        return fail(-ENOMEM, err, err_size, "%s: out of memory", path);
    }
    file->fd = -1;
    file->path = strdup(path);
    int rc = file->path ? make_copy(file, path, err, err_size)
                        : fail(-ENOMEM, err, err_size, "%s: out of memory", path);
    if (rc == 0) {
        char why[PLUGIN_ERROR_BYTES] = "";
        hash_hex(file->bytes, file->size, file->hash);
        rc = judge(file, why, sizeof why);
        if (rc) {
            (void)fail(rc, err, err_size, "%s: refused: %s", path, why);
        }
    }
    if (rc) {
        plugin_file_destroy(file);
        return rc;
    }
    *ret_file = file;
    return 0;
}

const struct plugin_note *plugin_file_note(const struct plugin_file *file)
{
    return &file->note;
}

const struct elf_facts *plugin_file_facts(const struct plugin_file *file)
{
    return &file->facts;
}

const char *plugin_file_hash(const struct plugin_file *file)
{
    return file->hash;
}

const void *plugin_file_bytes(const struct plugin_file *file, size_t *ret_size)
{
    *ret_size = file->size;
    return file->bytes;
}

/* ------------------------------------------------------------------ registry */

int plugin_registry_create(const char *const *extensions, struct plugin_registry **ret_registry)
{
    if (sodium_init() < 0) {
        return -EIO;
    }
    struct plugin_registry *registry = calloc(1, sizeof *registry);
    if (!registry) {
        return -ENOMEM;
    }
    registry->extensions = extensions;
    *ret_registry = registry;
    return 0;
}

static void free_mapping(struct mapping *mapping)
{
    if (mapping) {
        free(mapping->plugin.path);
        free(mapping);
    }
}

void plugin_registry_destroy(struct plugin_registry *registry)
{
    if (!registry) {
        return;
    }
    for (uint32_t i = 0; i < registry->count; i++) {
        free_mapping(registry->mapping[i]);
    }
    free(registry);
}

uint32_t plugin_mapped_count(const struct plugin_registry *registry)
{
    return registry->count;
}

/* ------------------------------------------------------------------ the entry */

/* Copies what the producer of `from` wrote, as far as this host knows it; the rest stays zero. */
static void copy_sized(void *to, size_t to_size, const void *from, uint32_t from_size)
{
    memset(to, 0, to_size);
    memcpy(to, from, from_size < to_size ? from_size : to_size);
}

/* A function, as a comparison with a minor of 0 in place would be called always false. */
static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int check_texts(const struct shunt_plugin *entry, char *why, size_t size)
{
    const struct {
        const char *name, *text;
        size_t bytes_max;
    } texts[] = {{"id", entry->id, PLUGIN_ID_BYTES_MAX},
                 {"version", entry->version, PLUGIN_VERSION_BYTES_MAX},
                 {"licence", entry->licence, PLUGIN_LICENCE_BYTES_MAX},
                 {"summary", entry->summary, PLUGIN_SUMMARY_BYTES_MAX}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!texts[i].text || strnlen(texts[i].text, texts[i].bytes_max + 1) > texts[i].bytes_max ||
            !line_is_text(texts[i].text)) {
            return fail(-EPERM, why, size, "its %s is missing, too long or not one line",
                        texts[i].name);
        }
    }
    return 0;
}

static int check_against_note(const struct shunt_plugin *entry, const struct plugin_note *note,
                              char *why, size_t size)
{
    const char *what = strcmp(entry->id, note->id) != 0              ? "id"
                       : strcmp(entry->version, note->version) != 0  ? "version"
                       : strcmp(entry->licence, note->licence) != 0  ? "licence"
                       : strcmp(entry->summary, note->summary) != 0  ? "summary"
                       : entry->abi_major != note->abi_major         ? "abi_major"
                       : entry->abi_minor != note->abi_minor         ? "abi_minor"
                       : entry->abi_minor_min != note->abi_minor_min ? "abi_minor_min"
                       : entry->state_schema != note->state_schema   ? "state_schema"
                                                                     : NULL;
    return what ? fail(-EPERM, why, size, "its entry and its note differ in %s", what) : 0;
}

static int check_requires(const struct plugin_registry *registry, const struct shunt_plugin *entry,
                          char *why, size_t size)
{
    if (entry->requires_count > PLUGIN_REQUIRES_MAX ||
        (entry->requires_count > 0 && !entry->requires_extensions)) {
        return fail(-EPERM, why, size, "its list of required extensions is not valid");
    }
    for (uint32_t i = 0; i < entry->requires_count; i++) {
        const char *id = entry->requires_extensions[i];
        bool offered = false;
        for (const char *const *it = registry->extensions; id && it && *it; it++) {
            offered |= strcmp(*it, id) == 0;
        }
        if (!offered) {
            return fail(-EPERM, why, size, "needs extension %.64s, which this host does not offer",
                        id ? id : "(null)");
        }
    }
    return 0;
}

/* Copies and checks an entry that has been mapped; `note` is NULL for one linked in. */
static int take_entry(const struct plugin_registry *registry, struct plugin *plugin,
                      const struct shunt_plugin *mapped, const struct plugin_note *note, char *why,
                      size_t size)
{
    uint32_t size_min = offsetof(struct shunt_plugin, flags) + sizeof mapped->flags;
    if (mapped->magic != SHUNT_PLUGIN_MAGIC || mapped->size < size_min ||
        mapped->abi_major != SHUNT_ABI_MAJOR) {
        return fail(-EPERM, why, size, "%s is not an entry of ABI %u", ENTRY_SYMBOL,
                    SHUNT_ABI_MAJOR);
    }
    struct shunt_plugin *entry = &plugin->entry;
    copy_sized(entry, sizeof *entry, mapped, mapped->size);
    int rc = check_texts(entry, why, size);
    if (rc == 0 && note) {
        rc = check_against_note(entry, note, why, size);
    }
    if (rc == 0) {
        rc = check_requires(registry, entry, why, size);
    }
    if (rc) {
        return rc;
    }
    if (entry->flags != 0 || entry->determinism < SHUNT_DETERMINISM_INTEGER ||
        entry->determinism > SHUNT_DETERMINISM_NATIVE) {
        return fail(-EPERM, why, size, "unknown flags %#x or determinism %u", entry->flags,
                    entry->determinism);
    }
    if (!entry->ops) {
        return fail(-EPERM, why, size, "its entry has no table of functions");
    }
    copy_sized(&plugin->ops, sizeof plugin->ops, entry->ops, entry->ops->size);
    if (!plugin->ops.decide) {
        return fail(-EPERM, why, size, "it has no decide function");
    }
    if ((plugin->ops.state_save || plugin->ops.state_load) && entry->state_schema == 0) {
        return fail(-EPERM, why, size, "it saves state, but its state_schema is 0");
    }
    if (params_schema_init(&plugin->schema, entry, why, size) != 0) {
        return -EPERM;
    }
    plugin->abi_minor = smaller(entry->abi_minor, SHUNT_ABI_MINOR);
    (void)snprintf(plugin->note.id, sizeof plugin->note.id, "%s", entry->id);
    (void)snprintf(plugin->note.version, sizeof plugin->note.version, "%s", entry->version);
    (void)snprintf(plugin->note.licence, sizeof plugin->note.licence, "%s", entry->licence);
    (void)snprintf(plugin->note.summary, sizeof plugin->note.summary, "%s", entry->summary);
    plugin->note.abi_major = entry->abi_major;
    plugin->note.abi_minor = entry->abi_minor;
    plugin->note.abi_minor_min = entry->abi_minor_min;
    plugin->note.state_schema = entry->state_schema;
    return 0;
}

/* ------------------------------------------------------------------ mapping */

static int find_mapping(const struct plugin_registry *registry, const struct plugin_file *file,
                        const struct plugin **ret_plugin, char *err, size_t err_size)
{
    for (uint32_t i = 0; i < registry->count; i++) {
        const struct mapping *it = registry->mapping[i];
        if (strcmp(it->plugin.hash, file->hash) != 0) {
            continue;
        }
        if (it->refusal[0]) {
            return fail(-EPERM, err, err_size, "%s: refused: %s", file->path, it->refusal);
        }
        *ret_plugin = &it->plugin;
        return 0;
    }
    return -ENOENT;
}

/* Maps the copy and keeps its descriptor open for good. */
static int map_copy(struct plugin_file *file, const struct shunt_plugin **ret_entry, char *err,
                    size_t err_size)
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", file->fd);
    void *handle = dlopen(link, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *text = dlerror();
        return fail(-EPERM, err, err_size, "%s: refused: cannot be mapped: %s", file->path,
                    text ? text : "unknown");
    }
    file->fd = -1;
    const struct shunt_plugin *entry = dlsym(handle, ENTRY_SYMBOL);
    if (!entry) {
        return fail(-EPERM, err, err_size, "%s: refused: does not export %s", file->path,
                    ENTRY_SYMBOL);
    }
    *ret_entry = entry;
    return 0;
}

int plugin_map(struct plugin_registry *registry, struct plugin_file *file,
               const struct plugin **ret_plugin, char *err, size_t err_size)
{
    int rc = find_mapping(registry, file, ret_plugin, err, err_size);
    if (rc != -ENOENT) {
        plugin_file_destroy(file);
        return rc;
    }
    if (registry->count == PLUGIN_MAPPED_MAX) {
        rc = fail(-ENOSPC, err, err_size,
                  "%s: %d policy files are mapped already; restart to load more", file->path,
                  PLUGIN_MAPPED_MAX);
        plugin_file_destroy(file);
        return rc;
    }
    const struct shunt_plugin *entry = NULL;
    struct mapping *mapping = calloc(1, sizeof *mapping);
    rc = mapping ? map_copy(file, &entry, err, err_size)
                 : fail(-ENOMEM, err, err_size, "%s: out of memory", file->path);
    if (rc) {
        free(mapping);
        plugin_file_destroy(file);
        return rc;
    }
    struct plugin *plugin = &mapping->plugin;
    memcpy(plugin->hash, file->hash, sizeof plugin->hash);
    char why[PLUGIN_ERROR_BYTES] = "";
    rc = take_entry(registry, plugin, entry, &file->note, why, sizeof why);
    if (rc) {
        memcpy(mapping->refusal, why, sizeof why);
        (void)fail(rc, err, err_size, "%s: refused: %s", file->path, why);
    }
    plugin->path = file->path;
    file->path = NULL;
    registry->mapping[registry->count++] = mapping;
    plugin_file_destroy(file);
    if (rc == 0) {
        *ret_plugin = plugin;
    }
    return rc;
}

int plugin_load(struct plugin_registry *registry, const char *path,
                const struct plugin **ret_plugin, char *err, size_t err_size)
{
    struct plugin_file *file = NULL;
    int rc = plugin_stage(path, &file, err, err_size);
    return rc ? rc : plugin_map(registry, file, ret_plugin, err, err_size);
}

int plugin_builtin(struct plugin_registry *registry, const struct shunt_plugin *entry,
                   const struct plugin **ret_plugin, char *err, size_t err_size)
{
    if (registry->count == PLUGIN_MAPPED_MAX) {
        return fail(-ENOSPC, err, err_size, "too many policies");
    }
    struct mapping *mapping = calloc(1, sizeof *mapping);
    char *path = strdup("(built in)");
    if (!mapping || !path) {
        free(mapping);
        free(path);
        return fail(-ENOMEM, err, err_size, "out of memory");
    }
    mapping->plugin.path = path;
    memset(mapping->plugin.hash, '0', sizeof mapping->plugin.hash - 1);
    char why[PLUGIN_ERROR_BYTES] = "";
    int rc = take_entry(registry, &mapping->plugin, entry, NULL, why, sizeof why);
    if (rc) {
        free_mapping(mapping);
        return fail(rc, err, err_size, "built-in policy: refused: %s", why);
    }
    registry->mapping[registry->count++] = mapping;
    *ret_plugin = &mapping->plugin;
    return 0;
}
