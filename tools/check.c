/*
 * `shunt check P.so`: whether a policy file keeps to the contract of the SDK. The file is judged by
 * its bytes first; then every probe runs in a child process of its own with a time limit, so that a
 * crash or an endless loop is a failed probe and no more.
 */
#include "base/json_write.h"
#include "base/plugin.h"
#include "base/policy.h"
#include "core/rng.h"
#include "tools/check_world.h"
#include "tools/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROBE_NOT_KEPT = 42, /* exit status of a child, unlike any of a crash */
    PROBE_SECONDS_MAX = 30,
    WHY_BYTES = 512,
    YAML_BYTES_MAX = 1024 * 1024
};

struct check {
    const char *path;
    const struct plugin *plugin;
    uint64_t seed;
};

struct probe {
    const char *name;
    const char *summary;
    /* 0: kept; 1: not kept, `why` says how. Runs in a child. */
    int (*run)(const struct check *check, char *why, size_t size);
};

static int broken(char *why, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int broken(char *why, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, size, format, args);
    va_end(args);
    return 1;
}

/* An instance with default parameters for `models` models; NULL with `why`. */
static struct policy *make(const struct check *check, uint32_t models, uint32_t alloc_fail_at,
                           char *why, size_t size)
{
    char(*names)[16] = calloc(models + 1u, sizeof *names);
    const char **pointers = calloc(models + 1u, sizeof *pointers);
    struct params *params = NULL;
    struct policy *policy = NULL;
    int rc = names && pointers ? 0 : -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < models; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%u", i);
        pointers[i] = names[i];
    }
    rc = rc ? rc : params_create(&check->plugin->schema, pointers, models, &params);
    if (rc == 0) {
        const struct policy_options options = {.plugin = check->plugin,
                                               .seed = check->seed,
                                               .now_ns = 1000 * CORE_NS_PER_S,
                                               .alloc_fail_at = alloc_fail_at};
        rc = policy_create(&options, params, &policy, why, size);
        if (rc) {
            params_destroy(params);
        }
    } else {
        (void)broken(why, size, "out of memory");
    }
    free(names);
    free(pointers);
    return policy;
}

static void drop(struct policy *policy)
{
    policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, "end of check", 2000 * CORE_NS_PER_S);
}

/* ------------------------------------------------------------------ probes */

static int probe_yaml(const struct check *check, char *why, size_t size)
{
    char path[4096], *expected = NULL, *found = NULL;
    size_t length = strlen(check->path);
    if (length < 4 || length + 2 > sizeof path || strcmp(check->path + length - 3, ".so") != 0) {
        return broken(why, size, "the file's name does not end in .so");
    }
    (void)snprintf(path, sizeof path, "%.*s.yaml", (int)(length - 3), check->path);
    FILE *file = fopen(path, "rb");
    if (!file) {
        return broken(why, size, "%s: %s; write it with `shunt check --print-params`", path,
                      strerror(errno));
    }
    int rc = params_schema_yaml(&check->plugin->schema, &check->plugin->entry, &expected);
    found = calloc(1, YAML_BYTES_MAX + 1);
    if (rc || !found) {
        rc = broken(why, size, "out of memory");
    } else {
        size_t bytes = fread(found, 1, YAML_BYTES_MAX, file);
        found[bytes] = '\0';
        if (strcmp(found, expected) != 0) {
            unsigned line = 1;
            for (size_t i = 0; found[i] && found[i] == expected[i]; i++) {
                line += found[i] == '\n';
            }
            rc = broken(why, size,
                        "%s:%u: differs from what the file declares; write it with "
                        "`shunt check --print-params`",
                        path, line);
        }
    }
    (void)fclose(file);
    free(expected);
    free(found);
    return rc;
}

/* Sets one parameter to a value in the unit of its declaration; a refusal by the policy is fine. */
static void try_value(struct policy *policy, const struct shunt_param_info *info, double value)
{
    double values[PARAMS_VECTOR_MAX];
    char text[PARAMS_TEXT_BYTES_MAX], err[256];
    for (uint32_t i = 0; i < PARAMS_VECTOR_MAX; i++) {
        values[i] = value;
    }
    if (param_print(info, values, text, sizeof text) == 0) {
        const struct param_assignment given = {.name = info->name, .text = text};
        (void)policy_set_params(policy, &given, 1, PARAM_ORIGIN_SET, 1000 * CORE_NS_PER_S, err,
                                sizeof err);
    }
}

static int probe_params(const struct check *check, char *why, size_t size)
{
    struct check_world world;
    struct policy *policy = make(check, 3, 0, why, size);
    if (!policy || check_world_init(&world, check->seed, 3, 1)) {
        return 1;
    }
    int rc = check_world_run(&world, policy, 10, why, size);
    const struct params_schema *schema = &check->plugin->schema;
    for (uint32_t i = 0; rc == 0 && i < schema->count; i++) {
        const struct shunt_param_info *info = &schema->info[i];
        const struct param_assignment nan = {.name = info->name, .text = "nan"};
        char err[256];
        if (policy_set_params(policy, &nan, 1, PARAM_ORIGIN_SET, world.now_ns, err, sizeof err) ==
            0) {
            rc = broken(why, size, "parameter \"%s\" was set to nan", info->name);
            break;
        }
        try_value(policy, info, info->value_min);
        rc = check_world_ask(&world, policy, why, size);
        try_value(policy, info, info->value_max);
        rc = rc ? rc : check_world_ask(&world, policy, why, size);
        try_value(policy, info, info->value_default);
    }
    drop(policy);
    check_world_fini(&world);
    return rc != 0;
}

static int probe_life(const struct check *check, char *why, size_t size)
{
    size_t first = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct policy_usage usage;
        struct policy *policy = make(check, 4, 0, why, size);
        if (!policy) {
            return 1;
        }
        policy_usage(policy, &usage);
        first = i == 0 ? usage.arena_bytes : first;
        drop(policy);
        if (usage.arena_bytes != first) {
            return broken(why, size,
                          "instance %u took %zu bytes at create, the first one %zu: it keeps "
                          "something between instances",
                          i, usage.arena_bytes, first);
        }
        if (usage.misbehaviour > 0) {
            return broken(why, size, "create calls %s of the host where it is not legal",
                          usage.misbehaviour_last);
        }
    }
    return 0;
}

/* Every allocation fails once; what comes of it must be an error or a working policy. */
static int probe_memory(const struct check *check, char *why, size_t size)
{
    for (uint32_t n = 1; n <= 64; n++) {
        struct check_world world;
        struct policy_usage usage = {.allocs = 0};
        char ignored[WHY_BYTES];
        if (check_world_init(&world, check->seed, 8, 1)) {
            return broken(why, size, "out of memory");
        }
        struct policy *policy = make(check, 8, n, ignored, sizeof ignored);
        int rc = policy ? check_world_run(&world, policy, 5, why, size) : 0;
        if (policy) {
            policy_usage(policy, &usage);
            drop(policy);
        }
        check_world_fini(&world);
        if (rc == -EPROTO) {
            return 1;
        }
        if (policy && usage.allocs < n) {
            break; /* it never allocates that often */
        }
    }
    return 0;
}

static int run_sized(const struct check *check, const struct check_world *like, uint32_t models,
                     uint32_t devices, uint32_t steps, char *why, size_t size)
{
    struct check_world world;
    struct policy *policy = make(check, models, 0, why, size);
    if (!policy || check_world_init(&world, check->seed, models, devices)) {
        return 1;
    }
    world.without_costs = like->without_costs;
    world.unknown = like->unknown;
    world.hidden = like->hidden;
    int rc = check_world_run(&world, policy, steps, why, size);
    struct policy_usage usage;
    policy_usage(policy, &usage);
    if (rc == 0 && usage.misbehaviour > 0) {
        rc = broken(why, size, "it calls %s of the host where that is not legal",
                    usage.misbehaviour_last);
    }
    drop(policy);
    check_world_fini(&world);
    return rc != 0;
}

static int probe_sizes(const struct check *check, char *why, size_t size)
{
    static const uint32_t models[] = {0, 1, 2, 4, 64, 256};
    const struct check_world like = {.hidden = 0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof models / sizeof models[0]; i++) {
        for (uint32_t devices = 1; rc == 0 && devices <= 3; devices++) {
            rc = run_sized(check, &like, models[i], devices, 40, why, size);
        }
    }
    return rc;
}

/* Models come and go while one instance runs. */
static int probe_layouts(const struct check *check, char *why, size_t size)
{
    static const uint32_t models[] = {3, 0, 200, 1, 5};
    struct policy *policy = make(check, 3, 0, why, size);
    int rc = policy ? 0 : 1;
    for (size_t i = 0; rc == 0 && i < sizeof models / sizeof models[0]; i++) {
        struct check_world world;
        char(*names)[16] = calloc(models[i] + 1u, sizeof *names);
        const char **pointers = calloc(models[i] + 1u, sizeof *pointers);
        if (!names || !pointers || check_world_init(&world, check->seed + i, models[i], 2)) {
            free(names);
            free(pointers);
            return broken(why, size, "out of memory");
        }
        for (uint32_t m = 0; m < models[i]; m++) {
            (void)snprintf(names[m], sizeof names[m], "n%u", m);
            pointers[m] = names[m];
        }
        world.now_ns += (int64_t)i * 100 * CORE_NS_PER_S;
        rc = policy_set_models(policy, pointers, models[i]);
        rc = rc ? rc : check_world_run(&world, policy, 20, why, size);
        check_world_fini(&world);
        free(names);
        free(pointers);
    }
    drop(policy);
    return rc != 0;
}

static int probe_absent(const struct check *check, char *why, size_t size)
{
    for (uint32_t i = 0;; i++) {
        const struct check_world like = {.hidden = check_world_column(i) ? check_world_column(i)
                                                                         : UINT32_MAX};
        char inner[WHY_BYTES];
        if (run_sized(check, &like, 4, 2, 15, inner, sizeof inner)) {
            return broken(why, size, "without column %u (all: %u): %s", like.hidden, UINT32_MAX,
                          inner);
        }
        if (like.hidden == UINT32_MAX) {
            return 0;
        }
    }
}

static int probe_unknown(const struct check *check, char *why, size_t size)
{
    const struct check_world nan = {.unknown = true};
    const struct check_world none = {.without_costs = true};
    return run_sized(check, &nan, 5, 2, 100, why, size) ||
           run_sized(check, &none, 5, 2, 100, why, size);
}

static int run_digest(const struct check *check, uint64_t *ret_digest, char *why, size_t size)
{
    struct check_world world;
    struct policy *policy = make(check, 6, 0, why, size);
    if (!policy || check_world_init(&world, check->seed, 6, 2)) {
        return 1;
    }
    int rc = check_world_run(&world, policy, 500, why, size);
    *ret_digest = world.digest;
    drop(policy);
    check_world_fini(&world);
    return rc != 0;
}

static int probe_repeat(const struct check *check, char *why, size_t size)
{
    uint64_t first = 0, second = 0;
    if (run_digest(check, &first, why, size) || run_digest(check, &second, why, size)) {
        return 1;
    }
    return first == second ? 0
                           : broken(why, size,
                                    "the same inputs led to other answers: it keeps something "
                                    "between instances or reads what it must not");
}

/* Garbage as state: refused or taken, but no crash and no nonsense afterwards. */
static int load_garbage(const struct check *check, const void *bytes, size_t bytes_size,
                        uint32_t schema, char *why, size_t size)
{
    struct check_world world;
    struct policy *policy = make(check, 4, 0, why, size);
    if (!policy || check_world_init(&world, check->seed, 4, 2)) {
        return 1;
    }
    check_world_step(&world);
    int rc = check_world_layout(&world, policy);
    (void)policy_state_load(policy, schema, bytes, bytes_size, 7, world.now_ns);
    for (uint32_t i = 0; rc == 0 && i < 10; i++) {
        check_world_step(&world);
        check_world_event(&world, policy);
        rc = check_world_ask(&world, policy, why, size);
    }
    drop(policy);
    check_world_fini(&world);
    return rc != 0;
}

/* A fresh instance in the world's present layout that has loaded `bytes`; NULL with `why`. */
static struct policy *successor(const struct check *check, struct check_world *world,
                                const void *bytes, size_t bytes_size, char *why, size_t size)
{
    struct policy *policy = make(check, world->models, 0, why, size);
    if (!policy) {
        return NULL;
    }
    if (check_world_layout(world, policy) ||
        policy_state_load(policy, check->plugin->entry.state_schema, bytes, bytes_size, 3,
                          world->now_ns)) {
        (void)broken(why, size, "it refuses its own state");
        drop(policy);
        return NULL;
    }
    return policy;
}

static int same_state(struct policy *a, struct policy *b, int64_t now_ns)
{
    void *bytes[2] = {NULL, NULL};
    size_t bytes_size[2] = {0, 0};
    int same = policy_state_save(a, now_ns, &bytes[0], &bytes_size[0]) == 0 &&
               policy_state_save(b, now_ns, &bytes[1], &bytes_size[1]) == 0 &&
               bytes_size[0] == bytes_size[1] &&
               (bytes_size[0] == 0 || memcmp(bytes[0], bytes[1], bytes_size[0]) == 0);
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

/* Saves after some work: twice alike; two successors take it and are alike. */
static int save_and_load(const struct check *check, void **ret_bytes, size_t *ret_size, char *why,
                         size_t size)
{
    struct check_world world;
    struct policy *old = make(check, 4, 0, why, size);
    if (!old || check_world_init(&world, check->seed, 4, 2)) {
        return 1;
    }
    int rc = check_world_run(&world, old, 50, why, size);
    if (rc == 0 && policy_state_save(old, world.now_ns, ret_bytes, ret_size) != 0) {
        rc = broken(why, size, "state_save failed");
    }
    if (rc == 0 && !same_state(old, old, world.now_ns)) {
        rc = broken(why, size, "state saved twice is not the same (unset padding?)");
    }
    if (rc == 0) {
        struct policy *a = successor(check, &world, *ret_bytes, *ret_size, why, size);
        struct policy *b = a ? successor(check, &world, *ret_bytes, *ret_size, why, size) : NULL;
        rc = b ? 0 : 1;
        if (b && !same_state(a, b, world.now_ns)) {
            rc = broken(why, size, "two successors with the same state differ");
        }
        drop(a);
        drop(b);
    }
    drop(old);
    check_world_fini(&world);
    return rc != 0;
}

static int probe_state(const struct check *check, char *why, size_t size)
{
    const struct shunt_policy_ops *ops = &check->plugin->ops;
    if (!ops->state_save && !ops->state_load) {
        return 0;
    }
    if (!ops->state_save || !ops->state_load) {
        return broken(why, size, "it has only one of state_save and state_load");
    }
    void *bytes = NULL;
    size_t bytes_size = 0;
    uint32_t schema = check->plugin->entry.state_schema;
    int rc = save_and_load(check, &bytes, &bytes_size, why, size);
    for (size_t cut = 0; rc == 0 && cut < bytes_size; cut += 1 + bytes_size / 40) {
        rc = load_garbage(check, bytes, cut, schema, why, size);
    }
    rc = rc ? rc : load_garbage(check, bytes, bytes_size, schema + 1, why, size);
    unsigned char *noise = malloc(1 << 20);
    for (uint64_t round = 0; rc == 0 && noise && round < 3; round++) {
        for (size_t i = 0; i < 1 << 20; i += 8) {
            uint64_t word = core_random(check->seed, 2, round, i);
            memcpy(noise + i, &word, sizeof word);
        }
        rc = load_garbage(check, noise, 1 << 20, schema, why, size);
    }
    free(noise);
    free(bytes);
    return rc;
}

static int probe_extensions(const struct check *check, char *why, size_t size)
{
    if (!check->plugin->ops.get_extension) {
        return 0;
    }
    static const char *const unknown[] = {"", "shunt.order", "shunt.order/99", "org.example.no/1"};
    struct policy *policy = make(check, 2, 0, why, size);
    int rc = policy ? 0 : 1;
    for (size_t i = 0; rc == 0 && i < sizeof unknown / sizeof unknown[0]; i++) {
        if (policy_probe_extension(policy, unknown[i], 1000 * CORE_NS_PER_S)) {
            rc = broken(why, size, "get_extension(\"%s\") is not NULL", unknown[i]);
        }
    }
    drop(policy);
    return rc;
}

static const struct probe probes[] = {
    {"yaml", "NAME.yaml beside the file is what the file declares", probe_yaml},
    {"parameters", "every parameter takes its whole range, and never nan", probe_params},
    {"life", "created and destroyed 1000 times alike", probe_life},
    {"memory", "every failing allocation is survived", probe_memory},
    {"sizes", "0 to 256 models on 1 to 3 devices", probe_sizes},
    {"layouts", "models come and go while it runs", probe_layouts},
    {"columns", "any column may be absent", probe_absent},
    {"unknown", "costs and estimates may be unknown", probe_unknown},
    {"repeat", "the same inputs lead to the same bytes", probe_repeat},
    {"state", "state goes round, damaged state is survived", probe_state},
    {"extensions", "unknown extension ids are NULL", probe_extensions},
};
enum { PROBE_COUNT = sizeof probes / sizeof probes[0] };

/* ------------------------------------------------------------------ one child a probe */

static void run_in_child(const struct check *check, const struct probe *probe, int to)
{
    char why[WHY_BYTES] = "";
    (void)alarm(PROBE_SECONDS_MAX);
    int rc = probe->run(check, why, sizeof why);
    size_t bytes = strlen(why);
    if (rc && write(to, why, bytes) != (ssize_t)bytes) {
        _exit(3);
    }
    _exit(rc ? PROBE_NOT_KEPT : 0);
}

/* Runs a probe; 0: kept, 1: not kept with `why`. */
static int run_probe(const struct check *check, const struct probe *probe, char *why, size_t size)
{
    int ends[2];
    why[0] = '\0';
    if (pipe(ends) != 0) {
        return broken(why, size, "pipe: %s", strerror(errno));
    }
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        run_in_child(check, probe, ends[1]);
    }
    (void)close(ends[1]);
    size_t used = 0;
    for (ssize_t got; child > 0 && used < size - 1;) {
        got = read(ends[0], why + used, size - 1 - used);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            break;
        }
        used += got > 0 ? (size_t)got : 0;
    }
    why[used] = '\0';
    (void)close(ends[0]);
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child < 0) {
        return broken(why, size, "fork failed");
    }
    if (WIFSIGNALED(status)) {
        return WTERMSIG(status) == SIGALRM
                   ? broken(why, size, "did not return within %d s", PROBE_SECONDS_MAX)
                   : broken(why, size, "crashed: signal %d (%s)", WTERMSIG(status),
                            strsignal(WTERMSIG(status)));
    }
    if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != PROBE_NOT_KEPT) {
        return broken(why, size, "crashed: exit status %d", WEXITSTATUS(status));
    }
    return WEXITSTATUS(status) != 0;
}

/* ------------------------------------------------------------------ the verb */

static void print_text(const struct check *check, const int *failed, char (*why)[WHY_BYTES],
                       int bad)
{
    const struct plugin *plugin = check->plugin;
    (void)printf("%s: policy %s %s (%s), ABI %u.%u, runs on hosts from %u.%u\n", check->path,
                 plugin->note.id, plugin->note.version, plugin->note.licence,
                 plugin->note.abi_major, plugin->note.abi_minor, plugin->note.abi_major,
                 plugin->note.abi_minor_min);
    (void)printf("hash %s\n", plugin->hash);
    (void)printf("ok    %-11s nothing runs at load time, one export, note = entry\n", "file");
    for (int i = 0; i < PROBE_COUNT; i++) {
        (void)printf("%s  %-11s %s\n", failed[i] ? "FAIL" : "ok  ", probes[i].name,
                     failed[i] ? why[i] : probes[i].summary);
    }
    if (bad) {
        (void)printf("%d of %d probes failed; again with: shunt check --reproduce %" PRIu64 " %s\n",
                     bad, PROBE_COUNT, check->seed, check->path);
    } else {
        (void)printf("all %d probes passed\n", PROBE_COUNT);
    }
}

static void print_json(const struct check *check, const int *failed, char (*why)[WHY_BYTES],
                       int bad)
{
    static char buffer[64 * 1024];
    struct json_write w;
    struct span text;
    json_write_init(&w, buffer, sizeof buffer);
    json_write_object(&w);
    json_write_key(&w, "file");
    json_write_string(&w, check->path);
    json_write_key(&w, "policy");
    json_write_string(&w, check->plugin->note.id);
    json_write_key(&w, "version");
    json_write_string(&w, check->plugin->note.version);
    json_write_key(&w, "hash");
    json_write_string(&w, check->plugin->hash);
    json_write_key(&w, "seed");
    json_write_uint(&w, check->seed);
    json_write_key(&w, "passed");
    json_write_bool(&w, bad == 0);
    json_write_key(&w, "probes");
    json_write_array(&w);
    for (int i = 0; i < PROBE_COUNT; i++) {
        json_write_object(&w);
        json_write_key(&w, "name");
        json_write_string(&w, probes[i].name);
        json_write_key(&w, "passed");
        json_write_bool(&w, !failed[i]);
        json_write_key(&w, "why");
        json_write_string(&w, failed[i] ? why[i] : NULL);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    if (json_write_done(&w, &text)) {
        (void)printf("%.*s\n", (int)text.len, text.data);
    }
}

static int print_params(const struct plugin *plugin)
{
    char *text = NULL;
    if (params_schema_yaml(&plugin->schema, &plugin->entry, &text) != 0) {
        (void)fprintf(stderr, "shunt check: out of memory\n");
        return VERB_FAILED;
    }
    (void)fputs(text, stdout);
    free(text);
    return VERB_DONE;
}

int verb_check(int argc, char **argv)
{
    struct check check = {.seed = 1};
    bool params = false, json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--print-params") == 0) {
            params = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--reproduce") == 0 && i + 1 < argc) {
            char *end = NULL;
            check.seed = strtoull(argv[++i], &end, 10);
            if (*end || end == argv[i]) {
                return verb_usage("check", "\"%s\" is not a seed", argv[i]);
            }
        } else if (argv[i][0] == '-' || check.path) {
            return verb_usage("check", "\"%s\" is not understood", argv[i]);
        } else {
            check.path = argv[i];
        }
    }
    if (!check.path) {
        return verb_usage("check", "the policy file is missing");
    }
    struct plugin_registry *registry = NULL;
    char err[PLUGIN_ERROR_BYTES] = "";
    if (plugin_registry_create(NULL, &registry) != 0) {
        (void)fprintf(stderr, "shunt check: out of memory\n");
        return VERB_FAILED;
    }
    int rc = plugin_load(registry, check.path, &check.plugin, err, sizeof err);
    if (rc) {
        (void)fprintf(stderr, "shunt check: %s\n", err);
        plugin_registry_destroy(registry);
        return rc == -EPERM ? VERB_FAILED : VERB_USAGE;
    }
    if (params) {
        rc = print_params(check.plugin);
        plugin_registry_destroy(registry);
        return rc;
    }
    int failed[PROBE_COUNT], bad = 0;
    static char why[PROBE_COUNT][WHY_BYTES];
    for (int i = 0; i < PROBE_COUNT; i++) {
        failed[i] = run_probe(&check, &probes[i], why[i], sizeof why[i]);
        bad += failed[i];
    }
    if (json) {
        print_json(&check, failed, why, bad);
    } else {
        print_text(&check, failed, why, bad);
    }
    plugin_registry_destroy(registry);
    return bad ? VERB_FAILED : VERB_DONE;
}
