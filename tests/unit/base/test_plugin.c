/* Loading policy files: what is refused, in which words, and that a refused file has run nothing.
 */
#include "base/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define POLICIES SHUNT_BUILD_DIR "/tests/policies/"

static struct plugin_registry *registry;
static char folder[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/shunt-plugin-XXXXXX");
    return mkdtemp(folder) ? plugin_registry_create(NULL, &registry) : -1;
}

static int teardown(void **state)
{
    (void)state;
    plugin_registry_destroy(registry);
    return rmdir(folder);
}

/* Asserts that `path` is refused with a line that has `words` in it. */
static void assert_refused(const char *path, const char *words)
{
    const struct plugin *plugin = NULL;
    char err[PLUGIN_ERROR_BYTES] = "";
    assert_int_equal(plugin_load(registry, path, &plugin, err, sizeof err), -EPERM);
    assert_null(plugin);
    char head[512];
    (void)snprintf(head, sizeof head, "%s: refused: ", path);
    if (strncmp(err, head, strlen(head)) != 0 || !strstr(err, words)) {
        fail_msg("unexpected refusal: %s", err);
    }
    assert_null(strchr(err, '\n'));
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Reads a test policy into memory, to be copied or bent. */
static unsigned char *read_policy(const char *path, size_t *ret_size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    unsigned char *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    *ret_size = fread(bytes, 1, 1 << 20, file);
    (void)fclose(file);
    assert_true(*ret_size > 1000 && *ret_size < 1 << 20);
    return bytes;
}

static void copy_policy(const char *from, const char *to)
{
    size_t size = 0;
    unsigned char *bytes = read_policy(from, &size);
    write_file(to, bytes, size);
    free(bytes);
}

static void test_loads(void **state)
{
    (void)state;
    const struct plugin *plugin = NULL, *again = NULL;
    char err[PLUGIN_ERROR_BYTES] = "";
    uint32_t before = plugin_mapped_count(registry);
    if (plugin_load(registry, POLICIES "curious.so", &plugin, err, sizeof err) != 0) {
        fail_msg("%s", err);
    }
    assert_string_equal(plugin->note.id, "curious");
    assert_string_equal(plugin->note.version, "1.0.0");
    assert_int_equal(plugin->note.state_schema, 3);
    assert_int_equal(plugin->schema.count, 3);
    assert_int_equal(strlen(plugin->hash), 64);
    assert_non_null(plugin->ops.decide);
    assert_null(plugin->ops.on_resync);
    assert_null(plugin->ops.exit);

    /* The same bytes under another name are the same mapping. */
    char copy[128];
    (void)snprintf(copy, sizeof copy, "%s/copy.so", folder);
    copy_policy(POLICIES "curious.so", copy);
    assert_int_equal(plugin_load(registry, copy, &again, err, sizeof err), 0);
    assert_ptr_equal(plugin, again);
    assert_int_equal(plugin_mapped_count(registry), before + 1);
    (void)unlink(copy);

    assert_int_equal(plugin_load(registry, POLICIES "always_stay.so", &again, err, sizeof err), 0);
    assert_ptr_not_equal(plugin, again);
    assert_string_not_equal(plugin->hash, again->hash);
}

/* What is mapped is what was judged, whatever becomes of the file. */
static void test_staged_copy_is_sealed(void **state)
{
    (void)state;
    char path[128], err[PLUGIN_ERROR_BYTES] = "";
    (void)snprintf(path, sizeof path, "%s/p.so", folder);
    copy_policy(POLICIES "random_switch.so", path);
    struct plugin_file *file = NULL;
    assert_int_equal(plugin_stage(path, &file, err, sizeof err), 0);
    assert_int_equal(truncate(path, 0), 0);
    (void)unlink(path);
    size_t size = 0;
    assert_non_null(plugin_file_bytes(file, &size));
    assert_true(size > 1000);
    assert_string_equal(plugin_file_note(file)->id, "random_switch");
    const struct plugin *plugin = NULL;
    char hash[65];
    (void)snprintf(hash, sizeof hash, "%s", plugin_file_hash(file));
    assert_int_equal(plugin_map(registry, file, &plugin, err, sizeof err), 0);
    assert_string_equal(plugin->hash, hash);
    assert_string_equal(plugin->entry.id, "random_switch");
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused(POLICIES "wrong_major.so", "needs ABI 2.x, host offers 1.0");
    assert_refused(POLICIES "minor_too_high.so", "needs ABI 1.7000 or later, host offers 1.0");
    assert_refused(POLICIES "no_note.so", "no policy note");
    assert_refused(POLICIES "destructor.so", "runs when it is unloaded");
    assert_refused(POLICIES "thread_local_storage.so", "thread-local");
    assert_refused(POLICIES "foreign_import.so", "uses getpid");
    assert_refused(POLICIES "no_entry.so", "does not export shunt_plugin_v1");
    assert_refused(POLICIES "second_export.so", "exports shunt_second");
    assert_refused(POLICIES "lazy_binding.so", "-z now");
    assert_refused(POLICIES "executable_stack.so", "executable stack");
    /* These are seen once mapped; they have run nothing either. */
    assert_refused(POLICIES "no_decide.so", "no decide function");
    assert_refused(POLICIES "note_differs.so", "differ in version");
    assert_refused(POLICIES "extension_missing.so", "needs extension org.example.telepathy/1");
    assert_refused(POLICIES "bad_parameters.so", "default 11 is outside 0..10");
    assert_refused(POLICIES "bad_parameters.so", "default 11 is outside 0..10"); /* again */
}

/* The control shows that the constructor works; the loader must not let it. */
static void test_refused_file_runs_nothing(void **state)
{
    (void)state;
    char mark[128];
    (void)snprintf(mark, sizeof mark, "%s/mark", folder);
    assert_int_equal(setenv("SHUNT_TEST_MARK", mark, 1), 0);
    assert_refused(POLICIES "constructor.so", "runs when it is loaded");
    assert_int_equal(access(mark, F_OK), -1);
    void *handle = dlopen(POLICIES "constructor.so", RTLD_NOW | RTLD_LOCAL);
    assert_non_null(handle);
    assert_int_equal(access(mark, F_OK), 0);
    (void)dlclose(handle);
    (void)unlink(mark);
    (void)unsetenv("SHUNT_TEST_MARK");
}

static void test_wrong_files(void **state)
{
    (void)state;
    char path[128];
    const struct plugin *plugin = NULL;
    char err[PLUGIN_ERROR_BYTES] = "";
    (void)snprintf(path, sizeof path, "%s/x.so", folder);
    assert_int_equal(plugin_load(registry, path, &plugin, err, sizeof err), -ENOENT);
    assert_non_null(strstr(err, "No such file"));
    assert_refused(folder, "not a regular file");
    write_file(path, "", 0);
    assert_refused(path, "empty");
    write_file(path, "#!/bin/sh\n", 10);
    assert_refused(path, "not an ELF file");

    size_t size = 0;
    unsigned char *bytes = read_policy(POLICIES "always_stay.so", &size);
    write_file(path, bytes, size);
    assert_int_equal(chmod(path, 0666), 0);
    assert_refused(path, "everyone may write it");
    assert_int_equal(chmod(path, 0644), 0);
    bytes[18] = 243; /* e_machine: RISC-V */
    write_file(path, bytes, size);
    assert_refused(path, "built for riscv");
    bytes[18] = 40;
    bytes[4] = 1;
    write_file(path, bytes, size);
    assert_refused(path, "built for arm (32 bit, little endian), this host is ");
    free(bytes);

    assert_int_equal(truncate(path, PLUGIN_FILE_BYTES_MAX + 1), 0);
    assert_refused(path, "larger than");
    (void)unlink(path);
}

/* No damaged copy of a policy may crash the judge: every truncation and every byte turned over in
 * headers and tables. (Not mapped: staging only.) */
static void test_damaged_files(void **state)
{
    (void)state;
    size_t size = 0;
    unsigned char *bytes = read_policy(POLICIES "always_stay.so", &size);
    struct elf_facts *facts = calloc(1, sizeof *facts);
    char err[PLUGIN_ERROR_BYTES];
    for (size_t cut = 0; cut < size; cut += cut < 4096 ? 1 : 97) {
        unsigned char *exact = malloc(cut > 0 ? cut : 1);
        assert_true(exact && facts);
        memcpy(exact, bytes, cut);
        (void)elf_facts_read(facts, exact, cut, "shunt", SHUNT_NOTE_TYPE, err, sizeof err);
        free(exact);
    }
    for (size_t at = 0; at < size && at < 8192; at++) {
        for (int value = 0; value < 3; value++) {
            unsigned char was = bytes[at];
            bytes[at] = value == 0 ? 0 : value == 1 ? 0xff : (unsigned char)(was ^ 0x10);
            (void)elf_facts_read(facts, bytes, size, "shunt", SHUNT_NOTE_TYPE, err, sizeof err);
            bytes[at] = was;
        }
    }
    assert_int_equal(elf_facts_read(facts, bytes, size, "shunt", SHUNT_NOTE_TYPE, err, sizeof err),
                     0);
    assert_true(facts->has_note && facts->has_dynamic && facts->has_relro && facts->has_bind_now);
    assert_false(facts->has_init || facts->has_fini || facts->has_tls || facts->has_irelative);
    assert_int_equal(facts->exported.count, 1);
    assert_string_equal(facts->exported.name[0], "shunt_plugin_v1");
    free(facts);
    free(bytes);
}

static void test_note_text(void **state)
{
    (void)state;
    static const char good[] = "id=fifo\nversion=1.0.0\nlicence=MIT\nsummary=Text, = and all.\n"
                               "abi_major=1\nabi_minor=2\nabi_minor_min=0\nstate_schema=9\nnew=1\n";
    struct plugin_note note;
    char err[128];
    assert_int_equal(plugin_note_parse(&note, good, err, sizeof err), 0);
    assert_string_equal(note.summary, "Text, = and all.");
    assert_int_equal(note.abi_minor, 2);
    assert_int_equal(note.state_schema, 9);
    static const struct {
        const char *from, *to, *words;
    } cases[] = {
        {"id=fifo\n", "", "lacks \"id\""},
        {"id=fifo", "id=Fifo", "id is not"},
        {"id=fifo", "id=fifo\nid=fifo", "twice"},
        {"abi_minor=2", "abi_minor=-2", "not a number"},
        {"abi_minor=2", "abi_minor=4294967296", "not a number"},
        {"version=1.0.0", "version=one", "version is not"},
        {"licence=MIT", "licence=\033[2J", "unprintable"},
        {"new=1", "what is this", "without \"=\""},
        {"1.0.0", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0", "twice or too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        const char *at = strstr(good, cases[i].from);
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, cases[i].to,
                       at + strlen(cases[i].from));
        assert_int_equal(plugin_note_parse(&note, text, err, sizeof err), -EINVAL);
        if (!strstr(err, cases[i].words)) {
            fail_msg("case %zu: %s", i, err);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads),       cmocka_unit_test(test_staged_copy_is_sealed),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_refused_file_runs_nothing),
        cmocka_unit_test(test_wrong_files), cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_note_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
