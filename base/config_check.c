/*
 * What concerns more than one setting: addresses and keys, names, commands, what fits on which
 * device, cells, and the values that follow from others. Every complaint names the setting to
 * change.
 */
#include "base/config_priv.h"
#include "base/policy_ref.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GIB 1073741824.0

enum { NAME_CHARS = 1, MODEL_CHARS = 2 };

static const struct config_mark nowhere_at;

/* Where a group stands. */
#define MARK(group) ((struct config_mark){(group)->line, (group)->column})

static struct config_mark place_of(const struct config_reader *reader, const char *path,
                                   struct config_mark otherwise)
{
    struct config_mark at = config_noted(reader, path);
    return at.line ? at : otherwise;
}

/* Reports about setting KEY of model m. */
#define MODEL_ERROR(reader, m, key, format, ...)                                                   \
    do {                                                                                           \
        char model_path[64];                                                                       \
        (void)snprintf(model_path, sizeof model_path, "models[%u].%s", (m), (key));                \
        config_error((reader), place_of((reader), model_path, MARK(&(reader)->config->models[m])), \
                     "%s: " format, model_path, __VA_ARGS__);                                      \
    } while (0)

/* ------------------------------------------------------------------ paths and addresses */

/* `path` as seen from the folder of the file, unless it is absolute. */
static const char *resolve(struct config_reader *reader, const char *path)
{
    const char *slash = strrchr(reader->file, '/');
    if (path[0] == '/' || !slash) {
        return path;
    }
    size_t folder = (size_t)(slash - reader->file) + 1;
    size_t size = folder + strlen(path) + 1;
    char *whole = config_alloc(reader, 1, size);
    if (!whole) {
        return path;
    }
    memcpy(whole, reader->file, folder);
    memcpy(whole + folder, path, size - folder);
    return whole;
}

static const char *below(struct config_reader *reader, const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *whole = config_alloc(reader, 1, size);
    if (!whole) {
        return name;
    }
    (void)snprintf(whole, size, "%s/%s", folder, name);
    return whole;
}

static void check_policy_paths(struct config_reader *reader, struct config_policy *policy)
{
    if (policy->values[0]) {
        policy->values = resolve(reader, policy->values);
    }
    if (strcmp(policy->plugin_dir, "auto") != 0) {
        policy->plugin_dir = resolve(reader, policy->plugin_dir);
    }
}

static void check_paths(struct config_reader *reader)
{
    struct config *config = reader->config;
    if (strcmp(config->state_dir, "auto") == 0) {
        const char *given = getenv("STATE_DIRECTORY");
        config->state_dir =
            given && given[0] == '/' ? config_copy(reader, given) : resolve(reader, "shunt-state");
    } else {
        config->state_dir = resolve(reader, config->state_dir);
    }
    if (!config->state_dir) {
        return;
    }
    if (config->keys_file[0]) {
        config->keys_file = resolve(reader, config->keys_file);
    }
    if (config->log_file[0]) {
        config->log_file = resolve(reader, config->log_file);
    }
    config->admin.socket = strcmp(config->admin.socket, "auto") == 0
                               ? below(reader, config->state_dir, "admin.sock")
                               : resolve(reader, config->admin.socket);
    config->journal.dir = strcmp(config->journal.dir, "auto") == 0
                              ? below(reader, config->state_dir, "journal")
                              : resolve(reader, config->journal.dir);
    check_policy_paths(reader, &config->policy);
}

static void check_listen(struct config_reader *reader)
{
    struct config *config = reader->config;
    struct config_mark at = place_of(reader, "listen", nowhere_at);
    bool beyond = false;
    for (uint32_t i = 0; i < config->listen.count; i++) {
        struct config_address address;
        char err[160];
        if (config_address_parse(config->listen.item[i], &address, err, sizeof err)) {
            config_error(reader, at, "listen: \"%.60s\": %s", config->listen.item[i], err);
            continue;
        }
        beyond = beyond || !address.loopback;
    }
    if (beyond && config->auth == CONFIG_AUTH_AUTO && !config->keys_file[0]) {
        config_error(reader, at,
                     "listen: is reachable from other machines without keys; set keys_file (see "
                     "`shunt help key`), or state auth = \"none\"");
    }
    if (config->auth == CONFIG_AUTH_KEYS && !config->keys_file[0]) {
        config_error(reader, place_of(reader, "auth", nowhere_at),
                     "auth: \"keys\" needs keys_file; write one with `shunt key NAME`");
    }
    if (config->auth == CONFIG_AUTH_NONE && config->keys_file[0]) {
        config_error(reader, place_of(reader, "auth", nowhere_at),
                     "auth: \"none\" and keys_file contradict each other; take one away");
    }
    if (config->admin.listen[0]) {
        struct config_address address;
        char err[160];
        at = place_of(reader, "admin.listen", nowhere_at);
        if (config_address_parse(config->admin.listen, &address, err, sizeof err)) {
            config_error(reader, at, "admin.listen: \"%.60s\": %s", config->admin.listen, err);
        } else if (!address.loopback) {
            config_error(reader, at,
                         "admin.listen: is reachable from other machines; operators connect to the "
                         "socket or to an address of this machine");
        }
    }
}

/* ------------------------------------------------------------------ simple rules */

static void check_order(struct config_reader *reader, const char *low_path, int64_t low,
                        const char *high_path, int64_t high)
{
    if (low > high) {
        config_error(reader, place_of(reader, low_path, place_of(reader, high_path, nowhere_at)),
                     "%s: is larger than %s; raise that or lower this", low_path, high_path);
    }
}

static void check_limits(struct config_reader *reader)
{
    const struct config *config = reader->config;
    const struct config_limits *limits = &config->limits;
    check_order(reader, "engine_port_min", config->engine_port_min, "engine_port_max",
                config->engine_port_max);
    check_order(reader, "limits.body_max_mib", limits->body_max_bytes, "limits.bodies_max_mib",
                limits->bodies_max_bytes);
    check_order(reader, "limits.response_buffer_mib", limits->response_buffer_bytes,
                "limits.responses_max_mib", limits->responses_max_bytes);
    check_order(reader, "journal.segment_mib", config->journal.segment_bytes, "journal.keep_mib",
                config->journal.keep_bytes);
    if (config->model_count > limits->models_max) {
        config_error(reader, place_of(reader, "limits.models_max", nowhere_at),
                     "limits.models_max: %lld is less than the %u models of this file",
                     (long long)limits->models_max, config->model_count);
    }
    if (config->device_count > limits->devices_max) {
        config_error(reader, place_of(reader, "limits.devices_max", nowhere_at),
                     "limits.devices_max: %lld is less than the %u devices of this file",
                     (long long)limits->devices_max, config->device_count);
    }
    if (config->survive) {
        config_error(
            reader, place_of(reader, "survive", nowhere_at),
            "survive: this version cannot adopt engines that outlived their supervisor; set "
            "it to false");
    }
}

/* The reference with its paths as seen from the folder of the file. */
static const char *resolve_reference(struct config_reader *reader, const struct policy_ref *ref)
{
    const char *target = ref->is_path ? resolve(reader, ref->target) : ref->target;
    const char *values = ref->values ? resolve(reader, ref->values) : "";
    size_t taken = strlen(ref->target) + (ref->values ? 1 + strlen(ref->values) : 0);
    const char *rest = ref->text + taken;
    size_t size = strlen(target) + 1 + strlen(values) + strlen(rest) + 1;
    char *whole = config_alloc(reader, 1, size);
    if (whole) {
        (void)snprintf(whole, size, "%s%s%s%s", target, ref->values ? "@" : "", values, rest);
    }
    return whole;
}

static void check_policy(struct config_reader *reader, struct config_policy *policy,
                         const char *path)
{
    char place[96], err[200];
    struct policy_ref ref;
    (void)snprintf(place, sizeof place, "%s.use", path);
    if (policy_ref_parse(policy->use, &ref, err, sizeof err)) {
        config_error(reader, place_of(reader, place, MARK(policy)), "%s: %s", place, err);
    } else {
        if (ref.values && policy->values[0]) {
            config_error(reader, place_of(reader, place, MARK(policy)),
                         "%s: names a values file, and so does values; take one away", place);
        }
        const char *use = resolve_reference(reader, &ref);
        policy->use = use ? use : policy->use;
        policy_ref_fini(&ref);
    }
    if (policy->isolation == CONFIG_ISOLATION_ISOLATED) {
        (void)snprintf(place, sizeof place, "%s.isolation", path);
        config_error(
            reader, place_of(reader, place, MARK(policy)),
            "%s: this version has no isolated policies, and does not run one as trusted in "
            "their place; state \"trusted\" if you trust %.60s",
            place, policy->use);
    }
}

static bool name_is_legal(const char *name, int chars)
{
    for (const char *c = name; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        bool legal = chars == NAME_CHARS ? isalnum(byte) || strchr("-_.", byte) != NULL
                                         : isgraph(byte) && byte != '"' && byte != '\\';
        if (!legal) {
            return false;
        }
    }
    return name[0] != '\0';
}

static void check_devices(struct config_reader *reader)
{
    const struct config *config = reader->config;
    if (config->device_count == 0) {
        config_error(reader, place_of(reader, "devices", nowhere_at),
                     "devices: there is none; add %s",
                     reader->yaml ? "devices: [{name: gpu0, memory_gib: 80}]"
                                  : "devices = ( { name = \"gpu0\"; gpu = 0; "
                                    "memory_gib = \"auto\"; } );");
    }
    for (uint32_t d = 0; d < config->device_count; d++) {
        const struct config_device *device = &config->devices[d];
        if (device->name[0] && !name_is_legal(device->name, NAME_CHARS)) {
            config_error(reader, MARK(device),
                         "devices[%u].name: takes letters, digits, '-', '_' and '.'", d);
        }
        if (device->memory_bytes == CONFIG_AUTOMATIC && device->gpu < 0) {
            config_error(
                reader, MARK(device),
                "devices[%u].memory_gib: \"auto\" asks the GPU driver and needs gpu; state "
                "a number for an emulated device",
                d);
        }
        for (uint32_t e = 0; e < d; e++) {
            if (device->name[0] && strcmp(config->devices[e].name, device->name) == 0) {
                config_error(reader, MARK(device),
                             "devices[%u].name: \"%s\" is devices[%u] already", d, device->name, e);
            }
            if (device->gpu >= 0 && config->devices[e].gpu == device->gpu) {
                config_error(reader, MARK(device),
                             "devices[%u].gpu: GPU %lld is devices[%u] already; two devices would "
                             "share its memory",
                             d, (long long)device->gpu, e);
            }
        }
    }
}

/* ------------------------------------------------------------------ models */

struct served_name {
    const char *name;
    uint32_t model;
    uint32_t alias; /* its index + 1; 0: the name itself */
};

static int served_compare(const void *a, const void *b)
{
    const struct served_name *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order == 0) {
        order = (x->model > y->model) - (x->model < y->model);
    }
    return order ? order : (x->alias > y->alias) - (x->alias < y->alias);
}

static void check_names(struct config_reader *reader)
{
    const struct config *config = reader->config;
    size_t total = 0;
    for (uint32_t m = 0; m < config->model_count; m++) {
        total += 1 + config->models[m].aliases.count;
    }
    struct served_name *names = config_alloc(reader, total + 1, sizeof *names);
    size_t count = 0;
    for (uint32_t m = 0; names && m < config->model_count; m++) {
        const struct config_model *model = &config->models[m];
        for (uint32_t a = 0; a <= model->aliases.count; a++) {
            const char *name = a ? model->aliases.item[a - 1] : model->name;
            if (!name_is_legal(name, MODEL_CHARS)) {
                if (name[0] || a) {
                    MODEL_ERROR(reader, m, a ? "aliases" : "name",
                                "\"%.60s\" wants printable ASCII without space, quotes, backslash",
                                name);
                }
                continue;
            }
            names[count++] = (struct served_name){name, m, a};
        }
    }
    if (count > 1) {
        qsort(names, count, sizeof *names, served_compare);
    }
    for (size_t i = 1; i < count; i++) {
        if (strcmp(names[i].name, names[i - 1].name) == 0) {
            MODEL_ERROR(reader, names[i].model, names[i].alias ? "aliases" : "name",
                        "\"%.60s\" is %s of models[%u] already", names[i].name,
                        names[i - 1].alias ? "an alias" : "the name", names[i - 1].model);
        }
    }
}

static void check_expansion(struct config_reader *reader, uint32_t m, const char *key,
                            const struct config_strings *strings)
{
    const struct config_expansion with = {.port = 1, .model = "model"};
    for (uint32_t i = 0; i < strings->count; i++) {
        char *text = NULL;
        char err[200];
        if (config_expand(strings->item[i], &with, &text, err, sizeof err)) {
            MODEL_ERROR(reader, m, key, "[%u]: %s", i, err);
        }
        free(text);
    }
}

static bool is_attached(const struct config_model *model)
{
    return model->start.count == 0 && (model->engine != CONFIG_ENGINE_EMULATED || model->url[0]);
}

static void check_command(struct config_reader *reader, uint32_t m)
{
    const struct config_model *model = &reader->config->models[m];
    check_expansion(reader, m, "start", &model->start);
    check_expansion(reader, m, "stop", &model->stop);
    check_expansion(reader, m, "env", &model->env);
    if (model->start.count > 0 && model->start.item[0][0] == '\0') {
        MODEL_ERROR(reader, m, "start", "%s", "the first entry is the program and cannot be empty");
    }
    if (model->start.count > 0 && model->engine == CONFIG_ENGINE_REMOTE) {
        MODEL_ERROR(reader, m, "start", "%s", "a remote engine is not started; take it away");
    }
    for (uint32_t i = 0; i < model->env.count; i++) {
        const char *equals = strchr(model->env.item[i], '=');
        if (!equals || equals == model->env.item[i]) {
            MODEL_ERROR(reader, m, "env", "[%u]: \"%.60s\" wants the form NAME=VALUE", i,
                        model->env.item[i]);
        }
    }
    if (model->url[0]) {
        const struct config_expansion with = {.port = 1, .model = "model"};
        struct config_address address;
        char err[200], *url = NULL;
        if (config_expand(model->url, &with, &url, err, sizeof err) ||
            config_url_parse(url, &address, err, sizeof err)) {
            MODEL_ERROR(reader, m, "url", "\"%.60s\": %s", model->url, err);
        }
        free(url);
    } else if (is_attached(model)) {
        MODEL_ERROR(reader, m, "url",
                    "is missing; an engine of kind %s wants start, or the url of a running server",
                    config_engine_name(model->engine));
    }
    if (model->health_path[0] != '/') {
        MODEL_ERROR(reader, m, "health_path", "\"%.60s\" wants to begin with /",
                    model->health_path);
    }
}

static void check_tiers(struct config_reader *reader, uint32_t m, struct config_model *model)
{
    bool attached = is_attached(model);
    bool sleeps = model->engine == CONFIG_ENGINE_EMULATED || model->engine == CONFIG_ENGINE_VLLM;
    if (model->tiers.count == 0 && reader->tiers.count > 0) {
        model->tiers = reader->tiers;
        return;
    }
    if (model->tiers.count == 0) {
        if (sleeps) {
            model->tiers.tier[model->tiers.count++] =
                model->sleep_level == 2 ? SHUNT_TIER_DISCARDED : SHUNT_TIER_ASLEEP;
        }
        if (!attached) {
            model->tiers.tier[model->tiers.count++] = SHUNT_TIER_STOPPED;
        }
        if (model->tiers.count == 0 && !model->pin && model->engine != CONFIG_ENGINE_REMOTE) {
            MODEL_ERROR(reader, m, "tiers",
                        "is missing; a server that is attached to is never ended, so name a tier "
                        "that its engine (%s) can be put into, or set pin = true",
                        config_engine_name(model->engine));
        }
        return;
    }
    for (uint32_t t = 0; attached && t < model->tiers.count; t++) {
        uint32_t tier = model->tiers.tier[t];
        if (tier == SHUNT_TIER_STOPPED || tier == SHUNT_TIER_STAGED) {
            MODEL_ERROR(reader, m, "tiers",
                        "\"%s\" needs start; a server that is attached to is never ended",
                        config_tier_name(tier));
        }
    }
}

static void check_memory(struct config_reader *reader, uint32_t m, struct config_model *model)
{
    struct config_memory *memory = &model->memory;
    if (!memory->automatic && memory->bytes[SHUNT_TIER_RESIDENT] < 0) {
        if (model->engine != CONFIG_ENGINE_REMOTE) {
            MODEL_ERROR(
                reader, m, "memory_gib", "%s",
                "says nothing of resident; state { resident = N; asleep = N; }, a number, or "
                "\"auto\" on a real GPU");
        }
        memory->bytes[SHUNT_TIER_RESIDENT] = 0;
    }
    if (memory->automatic && model->engine == CONFIG_ENGINE_EMULATED) {
        MODEL_ERROR(
            reader, m, "memory_gib", "%s",
            "\"auto\" is measured on a GPU, which an emulated engine has not; state a number");
    }
    for (uint32_t t = 0; t < SHUNT_TIER_COUNT; t++) {
        if (!memory->automatic && memory->bytes[t] < 0) {
            memory->bytes[t] = 0;
        }
        if (!memory->automatic && t != SHUNT_TIER_RESIDENT &&
            memory->bytes[t] > memory->bytes[SHUNT_TIER_RESIDENT]) {
            MODEL_ERROR(reader, m, "memory_gib", "%s holds more than resident",
                        config_tier_name(t));
        }
        if (model->host_memory.bytes[t] < 0 && !memory->automatic) {
            bool holds =
                t == SHUNT_TIER_ASLEEP || t == SHUNT_TIER_STAGED || t == SHUNT_TIER_SUSPENDED;
            model->host_memory.bytes[t] = holds ? memory->bytes[SHUNT_TIER_RESIDENT] : 0;
        }
    }
}

/* Whether so many bytes can be on a device at all; unknown sizes can. */
static bool fits(const struct config_device *device, int64_t bytes)
{
    return device->memory_bytes == CONFIG_AUTOMATIC || bytes < 0 || bytes <= device->memory_bytes;
}

static const struct config_device *largest_device(const struct config *config)
{
    const struct config_device *largest = &config->devices[0];
    for (uint32_t d = 1; d < config->device_count; d++) {
        if (config->devices[d].memory_bytes > largest->memory_bytes) {
            largest = &config->devices[d];
        }
    }
    return largest;
}

/* placements from devices, or from every device. */
static void derive_placements(struct config_reader *reader, uint32_t m, struct config_model *model)
{
    const struct config *config = reader->config;
    uint32_t stated = model->devices.count;
    uint32_t candidates = stated ? stated : config->device_count;
    struct config_placement *item = config_alloc(reader, candidates, sizeof *item);
    uint32_t count = 0;
    if (!item) {
        return;
    }
    for (uint32_t i = 0; i < candidates; i++) {
        uint32_t d = 0;
        while (stated && d < config->device_count &&
               strcmp(config->devices[d].name, model->devices.item[i]) != 0) {
            d++;
        }
        d = stated ? d : i;
        if (d == config->device_count) {
            MODEL_ERROR(reader, m, "devices",
                        "there is no device \"%.60s\"; add it to devices or name one of those",
                        model->devices.item[i]);
        } else if (stated || fits(&config->devices[d], model->memory.bytes[SHUNT_TIER_RESIDENT])) {
            item[count++].device = d;
        }
    }
    model->placements = (struct config_placements){item, count};
}

static void nowhere(struct config_reader *reader, uint32_t m)
{
    const struct config *config = reader->config;
    const struct config_device *largest = largest_device(config);
    const char *plain = "memory_gib", *tier = "memory_gib.resident";
    char path[64];
    (void)snprintf(path, sizeof path, "models[%u].%s", m, tier);
    MODEL_ERROR(
        reader, m, place_of(reader, path, nowhere_at).line ? tier : plain,
        "%.4g GiB fits on no device that the model may occupy (largest of all: %s, %.4g GiB); "
        "give the engine less memory or the model another device",
        (double)config->models[m].memory.bytes[SHUNT_TIER_RESIDENT] / GIB, largest->name,
        (double)largest->memory_bytes / GIB);
}

static void check_placements(struct config_reader *reader, uint32_t m, struct config_model *model)
{
    const struct config *config = reader->config;
    int64_t resident = model->memory.bytes[SHUNT_TIER_RESIDENT];
    const char *key = model->placements.count ? "placements" : "devices";
    if (model->placements.count && model->devices.count) {
        MODEL_ERROR(reader, m, "placements", "%s", "says the same as devices; take one away");
        return;
    }
    if (!model->placements.count) {
        uint32_t before = reader->errors->count;
        derive_placements(reader, m, model);
        if (reader->errors->count > before) {
            return;
        }
    }
    uint32_t good = 0;
    for (uint32_t i = 0; i < model->placements.count; i++) {
        uint32_t d = model->placements.item[i].device;
        good += fits(&config->devices[d], resident);
        for (uint32_t j = 0; j < i; j++) {
            if (model->placements.item[j].device == d) {
                MODEL_ERROR(reader, m, key, "device %s stands there twice",
                            config->devices[d].name);
            }
        }
    }
    if (good == 0) {
        nowhere(reader, m);
        return;
    }
    for (uint32_t i = 0; i < model->placements.count; i++) {
        const struct config_device *device = &config->devices[model->placements.item[i].device];
        if (!fits(device, resident)) {
            MODEL_ERROR(reader, m, key,
                        "%.4g GiB do not fit on %s (%.4g GiB); take it from the list",
                        (double)resident / GIB, device->name, (double)device->memory_bytes / GIB);
        }
        if (model->memory.automatic && device->gpu < 0) {
            MODEL_ERROR(reader, m, "memory_gib",
                        "\"auto\" is measured on a GPU, but device %s has none; state a number",
                        device->name);
        }
    }
}

/* Device bytes that a model keeps at least once it has been loaded. */
static int64_t least_bytes(const struct config_model *model)
{
    int64_t least = model->memory.bytes[SHUNT_TIER_RESIDENT];
    for (uint32_t t = 0; t < model->tiers.count && !model->pin; t++) {
        int64_t bytes = model->memory.bytes[model->tiers.tier[t]];
        least = bytes < least ? bytes : least;
    }
    return model->memory.automatic ? 0 : least;
}

/* A model must find room on one of its devices beside what models bound to that device never give
 * back: pins, and the residue of those that sleep. */
static void check_beside(struct config_reader *reader, uint32_t m)
{
    const struct config *config = reader->config;
    const struct config_model *model = &config->models[m];
    bool good = false;
    int64_t held = 0;
    for (uint32_t i = 0; i < model->placements.count && !good; i++) {
        uint32_t d = model->placements.item[i].device;
        held = 0;
        for (uint32_t o = 0; o < config->model_count; o++) {
            const struct config_model *other = &config->models[o];
            if (o != m && other->placements.count == 1 && other->placements.item[0].device == d) {
                held += least_bytes(other);
            }
        }
        good = fits(&config->devices[d], model->memory.bytes[SHUNT_TIER_RESIDENT] + held);
    }
    if (!good && model->placements.count > 0 && !model->memory.automatic) {
        MODEL_ERROR(
            reader, m, "memory_gib",
            "%.4g GiB fits on no device beside the %.4g GiB that the other models hold even "
            "when they are out (pinned, or asleep); let them stop (tiers) or unpin one",
            (double)model->memory.bytes[SHUNT_TIER_RESIDENT] / GIB, (double)held / GIB);
    }
}

static void check_host_memory(struct config_reader *reader, uint32_t m)
{
    const struct config *config = reader->config;
    const struct config_model *model = &config->models[m];
    bool possible = config->host_memory_bytes == CONFIG_AUTOMATIC || model->tiers.count == 0;
    for (uint32_t t = 0; t < model->tiers.count; t++) {
        possible =
            possible || model->host_memory.bytes[model->tiers.tier[t]] <= config->host_memory_bytes;
    }
    if (!possible) {
        MODEL_ERROR(reader, m, "tiers",
                    "none of them fits into host_memory_gib (%.4g); add \"stopped\" or raise that",
                    (double)config->host_memory_bytes / GIB);
    }
}

static void check_model(struct config_reader *reader, uint32_t m, struct config_model *model)
{
    const struct config *config = reader->config;
    check_command(reader, m);
    check_tiers(reader, m, model);
    check_memory(reader, m, model);
    check_placements(reader, m, model);
    check_host_memory(reader, m);
    if (model->pin && model->placements.count != 1) {
        MODEL_ERROR(reader, m, "pin", "%s", "wants exactly one device; name it in devices");
    }
    if (model->max_concurrency > config->limits.in_flight_max) {
        MODEL_ERROR(reader, m, "max_concurrency", "%lld is more than limits.in_flight_max",
                    (long long)model->max_concurrency);
    }
    if (model->queue_max > config->limits.queued_max) {
        MODEL_ERROR(reader, m, "queue_per_model", "%lld is more than limits.queued_max",
                    (long long)model->queue_max);
    }
    if (config->guard.dispatches_min > model->max_concurrency) {
        MODEL_ERROR(
            reader, m, "max_concurrency",
            "%lld is less than guard.dispatches_min, which a visit could then never dispatch "
            "at once; lower that",
            (long long)model->max_concurrency);
    }
}

static void check_models(struct config_reader *reader, struct config_model *models)
{
    const struct config *config = reader->config;
    if (config->model_count == 0) {
        config_error(reader, place_of(reader, "models", nowhere_at),
                     "models: there is none; add %s",
                     reader->yaml ? "models: [{name: a, memory_gib: 15, service: {kind: serial}}]"
                                  : "models = ( { name = \"...\"; memory_gib = ...; } );");
    }
    check_names(reader);
    if (config->device_count == 0) {
        return;
    }
    for (uint32_t m = 0; m < config->model_count; m++) {
        check_model(reader, m, &models[m]);
    }
    if (reader->errors->count > 0) {
        return; /* what follows would repeat them */
    }
    for (uint32_t m = 0; m < config->model_count; m++) {
        check_beside(reader, m);
    }
}

/* ------------------------------------------------------------------ cells */

static void make_only_cell(struct config_reader *reader)
{
    struct config *config = reader->config;
    struct config_cell *cell = config_alloc(reader, 1, sizeof *cell);
    const char **names = config_alloc(reader, config->device_count + 1, sizeof *names);
    if (!cell || !names) {
        return;
    }
    cell->name = "main";
    cell->policy = config->policy;
    for (uint32_t d = 0; d < config->device_count; d++) {
        names[d] = config->devices[d].name;
        cell->device[d] = d;
    }
    cell->devices = (struct config_strings){names, config->device_count};
    config->cells = cell;
    config->cell_count = 1;
}

static void check_cell(struct config_reader *reader, uint32_t c, struct config_cell *cell,
                       uint32_t *cell_of)
{
    const struct config *config = reader->config;
    if (cell->name[0] && !name_is_legal(cell->name, NAME_CHARS)) {
        config_error(reader, MARK(cell), "cells[%u].name: takes letters, digits, '-', '_' and '.'",
                     c);
    }
    for (uint32_t o = 0; o < c; o++) {
        if (cell->name[0] && strcmp(config->cells[o].name, cell->name) == 0) {
            config_error(reader, MARK(cell), "cells[%u].name: \"%s\" is cells[%u] already", c,
                         cell->name, o);
        }
    }
    for (uint32_t i = 0; i < cell->devices.count; i++) {
        uint32_t d = 0;
        while (d < config->device_count &&
               strcmp(config->devices[d].name, cell->devices.item[i]) != 0) {
            d++;
        }
        if (d == config->device_count) {
            config_error(reader, MARK(cell), "cells[%u].devices: there is no device \"%.60s\"", c,
                         cell->devices.item[i]);
            continue;
        }
        if (cell_of[d] != UINT32_MAX) {
            config_error(reader, MARK(cell), "cells[%u].devices: %s is in cells[%u] already", c,
                         config->devices[d].name, cell_of[d]);
        }
        cell_of[d] = c;
        cell->device[i] = d;
    }
    char path[32];
    (void)snprintf(path, sizeof path, "cells[%u].policy", c);
    check_policy(reader, &cell->policy, path);
    check_policy_paths(reader, &cell->policy);
}

static void check_cells(struct config_reader *reader, struct config_cell *cells)
{
    struct config *config = reader->config;
    uint32_t cell_of[16];
    for (uint32_t d = 0; d < config->device_count; d++) {
        cell_of[d] = UINT32_MAX;
    }
    for (uint32_t c = 0; c < config->cell_count; c++) {
        check_cell(reader, c, &cells[c], cell_of);
    }
    if (config->cell_count == 0) {
        make_only_cell(reader);
        return;
    }
    for (uint32_t d = 0; d < config->device_count; d++) {
        if (cell_of[d] == UINT32_MAX) {
            config_error(reader, MARK(&config->devices[d]),
                         "devices[%u]: %s is in no cell; add it to one, or leave cells out", d,
                         config->devices[d].name);
        }
    }
    for (uint32_t m = 0; m < config->model_count; m++) {
        const struct config_placements *placements = &config->models[m].placements;
        for (uint32_t i = 1; i < placements->count; i++) {
            uint32_t first = cell_of[placements->item[0].device];
            uint32_t other = cell_of[placements->item[i].device];
            if (first != other && first != UINT32_MAX && other != UINT32_MAX) {
                MODEL_ERROR(
                    reader, m, "devices",
                    "the model may be in cells %s and %s, but its queue is in one; name the "
                    "devices of one cell",
                    cells[first].name, cells[other].name);
                break;
            }
        }
    }
}

void config_check(struct config_reader *reader)
{
    struct config *config = reader->config;
    check_paths(reader);
    check_listen(reader);
    check_limits(reader);
    if (config->cell_count == 0 || config->policy.line) {
        check_policy(reader, &config->policy, "policy");
    }
    check_devices(reader);
    /* The tree is constant for its users, not yet for its maker. */
    check_models(reader, (struct config_model *)(uintptr_t)config->models);
    check_cells(reader, (struct config_cell *)(uintptr_t)config->cells);
}
