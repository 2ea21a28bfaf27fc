/* Reads scenarios. See scenario.h; the table of keys is scenario.def. */
#include "sim/scenario.h"

#include "sim/scenario_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

/* ------------------------------------------------------------------ memory */

struct scenario_block {
    struct scenario_block *next;
    max_align_t bytes[];
};

void *scenario_alloc(struct scenario_reader *reader, size_t count, size_t size)
{
    struct scenario_memo *memo = reader->scenario->memo;
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        return NULL;
    }
    struct scenario_block *block = calloc(1, sizeof *block + bytes);
    if (!block) {
        return NULL;
    }
    block->next = memo->blocks;
    memo->blocks = block;
    return block->bytes;
}

const char *scenario_copy(struct scenario_reader *reader, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = scenario_alloc(reader, 1, size);
    if (copy) {
        memcpy(copy, text, size);
    }
    return copy;
}

void scenario_free(struct scenario *scenario)
{
    if (!scenario) {
        return;
    }
    config_free(scenario->config);
    arrivals_spec_fini(&scenario->arrivals);
    if (scenario->memo) {
        struct scenario_block *block = scenario->memo->blocks;
        while (block) {
            struct scenario_block *next = block->next;
            free(block);
            block = next;
        }
        free(scenario->memo->patience_points);
        free(scenario->memo);
    }
    free(scenario);
}

/* ------------------------------------------------------------------ begin and end */

/* "a/b/name.yaml" without folder and ending. */
static const char *stem(struct scenario_reader *reader, const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    const char *dot = strrchr(base, '.');
    size_t length = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    char *name = scenario_alloc(reader, 1, length + 1);
    if (name) {
        memcpy(name, base, length);
    }
    return name;
}

int scenario_folder(struct scenario_reader *reader, const char *file)
{
    const char *slash = strrchr(file, '/');
    if (!slash) {
        reader->folder = ".";
        return 0;
    }
    size_t length = slash == file ? 1 : (size_t)(slash - file);
    char *folder = scenario_alloc(reader, 1, length + 1);
    if (!folder) {
        return -ENOMEM;
    }
    memcpy(folder, file, length);
    reader->folder = folder;
    return 0;
}

int scenario_begin(struct scenario_reader *reader, const char *name, const char *traces, char *err,
                   size_t err_size)
{
    *reader =
        (struct scenario_reader){.file = name, .traces = traces, .err = err, .err_size = err_size};
    err[0] = '\0';
    struct scenario *scenario = calloc(1, sizeof *scenario);
    struct scenario_memo *memo = calloc(1, sizeof *memo);
    if (!scenario || !memo) {
        free(scenario);
        free(memo);
        (void)snprintf(err, err_size, "%.200s: out of memory", name);
        return -ENOMEM;
    }
    scenario->memo = memo;
    reader->scenario = scenario;
    scenario->file = scenario_copy(reader, name);
    scenario->name = stem(reader, name);
    return scenario->file && scenario->name ? scenario_folder(reader, name) : -ENOMEM;
}

int scenario_finish(struct scenario_reader *reader, int rc, struct scenario **ret_scenario)
{
    if (rc && reader->err[0] == '\0') {
        if (rc == -EINVAL && reader->yaml) {
            (void)snprintf(reader->err, reader->err_size, "%s", yaml_error(reader->yaml));
        } else {
            (void)snprintf(reader->err, reader->err_size, "%.200s: %s", reader->file,
                           rc == -ENOMEM ? "out of memory" : strerror(-rc));
        }
    }
    yaml_free(reader->yaml);
    if (rc) {
        scenario_free(reader->scenario);
        return rc;
    }
    *ret_scenario = reader->scenario;
    return 0;
}

int scenario_slurp(const char *path, size_t max, char **ret_text, size_t *ret_size, char *err,
                   size_t err_size)
{
    struct stat status;
    /* Not blocking: a name out of a file may be that of a pipe. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = fd < 0 || fstat(fd, &status) ? -errno : 0;
    if (rc == 0 && !S_ISREG(status.st_mode)) {
        rc = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
    }
    if (rc == 0 && (status.st_size < 0 || (uintmax_t)status.st_size > max)) {
        rc = -EFBIG;
    }
    size_t room = rc ? 0 : (size_t)status.st_size, size = 0;
    char *text = rc ? NULL : malloc(room + 1);
    rc = rc ? rc : text ? 0 : -ENOMEM;
    while (rc == 0 && size < room) {
        ssize_t got = read(fd, text + size, room - size);
        if (got <= 0) {
            rc = got < 0 ? -errno : 0;
            break;
        }
        size += (size_t)got;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (rc) {
        free(text);
        (void)snprintf(err, err_size, "%.200s: %s", path,
                       rc == -EINVAL ? "is not a regular file" : strerror(-rc));
        return rc;
    }
    text[size] = '\0';
    *ret_text = text;
    *ret_size = size;
    return 0;
}

/* ------------------------------------------------------------------ models and their engines */

static int read_service(struct scenario_reader *reader, struct yaml_node *map, uint32_t m,
                        struct scenario_model *model)
{
    static const char group[] = "models[].service";
    struct scenario_service *service = &model->service;
    struct yaml_node *node = NULL;
    uint32_t kind = 0;
    int rc = scenario_map(reader, map, "models[]", "service", &node);
    rc = rc ? rc : scenario_choice(reader, node, group, "kind", &kind);
    service->kind = (enum scenario_service_kind)kind;
    if (rc == 0 && service->kind == SCENARIO_BATCH) {
        rc = scenario_time(reader, node, group, "p0_s", &service->p0_ps);
        rc = rc ? rc : scenario_time(reader, node, group, "p1_s", &service->p1_ps);
        rc = rc ? rc : scenario_time(reader, node, group, "d0_s", &service->d0_ps);
        rc = rc ? rc : scenario_time(reader, node, group, "d1_s", &service->d1_ps);
        rc = rc ? rc : scenario_time(reader, node, group, "d2_s", &service->d2_ps);
    }
    if (rc == 0 && service->kind == SCENARIO_PS) {
        rc = scenario_real(reader, node, group, "rate", &service->rate);
    }
    rc = rc ? rc : yaml_end(reader->yaml, node);
    struct yaml_node *most = yaml_get(map, "max_concurrency");
    model->unlimited = most && most->kind == YAML_SCALAR && strcmp(most->text, "unlimited") == 0;
    if (rc == 0 && service->kind == SCENARIO_UNLIMITED && !model->unlimited) {
        return yaml_fail(reader->yaml, most ? most : node,
                         "models[%u].max_concurrency: an unlimited service wants unlimited", m);
    }
    return rc;
}

static int read_models(struct scenario_reader *reader, struct yaml_node ***ret_nodes)
{
    struct scenario *scenario = reader->scenario;
    uint32_t count = scenario->config->model_count;
    struct scenario_model *models = scenario_alloc(reader, count, sizeof *models);
    struct yaml_node **nodes = scenario_alloc(reader, count, sizeof(struct yaml_node *));
    scenario->models = models;
    *ret_nodes = nodes;
    if (!models || !nodes) {
        return -ENOMEM;
    }
    struct yaml_node *node = yaml_get(reader->root, "models")->child;
    for (uint32_t m = 0; m < count; m++, node = node->next) {
        nodes[m] = node;
        int rc = read_service(reader, node, m, &models[m]);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* Keys of the lists that nobody has asked for. */
static int end_lists(struct scenario_reader *reader)
{
    static const char *const lists[] = {"devices", "models"};
    int rc = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct yaml_node *list = yaml_get(reader->root, lists[i]);
        for (struct yaml_node *node = list ? list->child : NULL; rc == 0 && node;
             node = node->next) {
            if (i == 1) {
                /* Without a profile nobody looks at it. */
                (void)yaml_get(node, "cost_class");
            }
            rc = yaml_end(reader->yaml, node);
        }
    }
    return rc;
}

/* ------------------------------------------------------------------ what shunt.cfg has too */

/* guard: default | off | {...}. */
static int read_guard(struct scenario_reader *reader, struct yaml_node **ret_map)
{
    struct yaml_node *node = yaml_get(reader->root, "guard");
    *ret_map = NULL;
    if (!node) {
        return 0;
    }
    if (node->kind == YAML_SCALAR) {
        uint32_t choice = 0;
        int rc = yaml_choice(reader->yaml, reader->root, "guard", "default|off", &choice);
        reader->scenario->guard_off = choice == 1;
        return rc;
    }
    *ret_map = node;
    return 0;
}

static int read_config(struct scenario_reader *reader)
{
    struct config_errors errors;
    struct config_yaml from = {.yaml = reader->yaml,
                               .root = reader->root,
                               .min_residence_s = yaml_get(reader->root, "min_residence_s"),
                               .limits_derived = true};
    int rc = read_guard(reader, &from.guard);
    rc = rc ? rc : scenario_read_tiers(reader, &from.tiers);
    if (from.tiers.count == 0) {
        from.tiers = (struct config_tiers){.count = 1, .tier = {SHUNT_TIER_STOPPED}};
    }
    if (rc == 0) {
        rc = config_from_yaml(&from, reader->file, &reader->scenario->config, &errors);
        if (rc) {
            (void)snprintf(reader->err, reader->err_size, "%s", errors.text[0]);
        }
    }
    if (rc == 0 && from.guard) {
        rc = yaml_end(reader->yaml, from.guard);
    }
    return rc;
}

/* ------------------------------------------------------------------ requests */

/* Whether what is drawn for the requests of a source is what the engine of its model serves; what
 * traces and lists say is seen only when they are read. */
static int check_source(struct scenario_reader *reader, const struct yaml_node *node, size_t index)
{
    const struct scenario *scenario = reader->scenario;
    const struct arrivals_source *source = &scenario->arrivals.sources[index];
    if (source->kind == ARRIVALS_TRACE || source->kind == ARRIVALS_LIST || source->model < 0) {
        return 0;
    }
    bool batch = scenario->models[source->model].service.kind == SCENARIO_BATCH;
    bool tokens = source->kind == ARRIVALS_FITTED || (source->input_tokens.kind != DIST_NONE &&
                                                      source->output_tokens.kind != DIST_NONE);
    const char *name = scenario_model_name(scenario, (uint32_t)source->model);
    if (batch && !tokens) {
        return yaml_fail(reader->yaml, node,
                         "input_tokens, output_tokens: model %.60s is served by tokens; say both",
                         name);
    }
    if (!batch && source->service_s.kind == DIST_NONE) {
        return yaml_fail(reader->yaml, node, "service_s is missing: model %.60s is served by time",
                         name);
    }
    return 0;
}

static int read_arrivals(struct scenario_reader *reader, bool wanted)
{
    struct scenario *scenario = reader->scenario;
    struct arrivals_spec *spec = &scenario->arrivals;
    for (uint32_t m = 0; m < scenario->config->model_count; m++) {
        uint32_t index = 0;
        int rc = arrivals_model(spec, scenario->config->models[m].name, &index);
        if (rc) {
            return rc;
        }
        assert(index == m);
    }
    spec->models_fixed = true;
    struct yaml_node *list = wanted ? NULL : yaml_get(reader->root, "arrivals");
    int rc = wanted ? scenario_list(reader, reader->root, "", "arrivals", &list) : 0;
    if (rc || !list) {
        return rc;
    }
    rc = arrivals_load(spec, reader->yaml, list, reader->folder, reader->traces);
    bool limited = scenario->requests_max > 0 || scenario->horizon_ns > 0;
    const struct yaml_node *node = list->child;
    for (size_t i = 0; rc == 0 && i < spec->sources_len; i++, node = node->next) {
        rc = check_source(reader, node, i);
        if (rc == 0 && !limited && arrivals_endless(&spec->sources[i])) {
            rc = yaml_fail(reader->yaml, node,
                           "this source goes on for ever; say requests or horizon_s");
        }
    }
    return rc;
}

static int64_t default_wait_cap_ns(const struct config *config)
{
    int64_t largest_ns = 0;
    for (uint32_t m = 0; m < config->model_count; m++) {
        int64_t ns = config->models[m].max_wait_ns;
        largest_ns = ns > largest_ns ? ns : largest_ns;
    }
    return largest_ns > 0 ? largest_ns : 3600 * NS_PER_S;
}

static int read_clients(struct scenario_reader *reader)
{
    struct scenario *scenario = reader->scenario;
    scenario->wait_cap_ns = default_wait_cap_ns(scenario->config);
    struct yaml_node *map = yaml_get(reader->root, "limits");
    if (!map) {
        return 0;
    }
    int rc = arrivals_load_dist(reader->yaml, map, "patience", &scenario->patience_s,
                                &scenario->memo->patience_points);
    rc = rc ? rc : scenario_time(reader, map, "limits", "wait_cap_s", &scenario->wait_cap_ns);
    return rc ? rc : yaml_end(reader->yaml, map);
}

/* ------------------------------------------------------------------ the start */

/* Puts a model into `tier` of a device if the memory is there. */
static bool place(const struct config *config, uint32_t m, uint32_t d, uint32_t tier,
                  int64_t *device_bytes, int64_t *host_bytes)
{
    const struct config_model *model = &config->models[m];
    int64_t on_device = device_bytes[d] + model->memory.bytes[tier];
    int64_t in_host = *host_bytes + model->host_memory.bytes[tier];
    bool limited = config->host_memory_bytes > 0;
    if (on_device > config->devices[d].memory_bytes ||
        (limited && in_host > config->host_memory_bytes)) {
        return false;
    }
    device_bytes[d] = on_device;
    *host_bytes = in_host;
    return true;
}

static bool may_be_on(const struct config_model *model, uint32_t device)
{
    for (uint32_t i = 0; i < model->placements.count; i++) {
        if (model->placements.item[i].device == device) {
            return true;
        }
    }
    return false;
}

static int make_resident(struct scenario_reader *reader, const struct yaml_node *node,
                         uint32_t device, uint32_t *tiers, int64_t *device_bytes,
                         int64_t *host_bytes)
{
    const struct config *config = reader->scenario->config;
    const char *name = NULL;
    uint32_t m = 0;
    int rc = yaml_node_string(reader->yaml, node, "initial", &name);
    rc = rc ? rc : scenario_find_model(reader, node, name, &m);
    if (rc) {
        return rc;
    }
    uint32_t *tier = &tiers[(size_t)m * config->device_count + device];
    if (!may_be_on(&config->models[m], device)) {
        return yaml_fail(reader->yaml, node, "initial: model %s may not be on device %s", name,
                         config->devices[device].name);
    }
    if (*tier == SHUNT_TIER_RESIDENT) {
        return yaml_fail(reader->yaml, node, "initial: model %s is there already", name);
    }
    if (!place(config, m, device, SHUNT_TIER_RESIDENT, device_bytes, host_bytes)) {
        return yaml_fail(reader->yaml, node, "initial: model %s does not fit on device %s any more",
                         name, config->devices[device].name);
    }
    *tier = SHUNT_TIER_RESIDENT;
    return 0;
}

static int read_initial(struct scenario_reader *reader)
{
    struct scenario *scenario = reader->scenario;
    const struct config *config = scenario->config;
    uint32_t devices = config->device_count;
    size_t count = (size_t)config->model_count * devices;
    uint32_t *tiers = scenario_alloc(reader, count, sizeof *tiers);
    int64_t *device_bytes = scenario_alloc(reader, devices, sizeof *device_bytes);
    int64_t host_bytes = 0;
    if (!tiers || !device_bytes) {
        return -ENOMEM;
    }
    scenario->initial_tier = tiers;
    for (size_t i = 0; i < count; i++) {
        tiers[i] = SHUNT_TIER_STOPPED;
    }
    struct yaml_node *map = NULL;
    int rc = scenario_map(reader, reader->root, "", "initial", &map);
    for (struct yaml_node *node = map ? map->child : NULL; rc == 0 && node; node = node->next) {
        uint32_t d = 0;
        rc = scenario_find_device(reader, node, node->key, &d);
        if (rc == 0 && node->kind != YAML_SEQUENCE) {
            rc = make_resident(reader, node, d, tiers, device_bytes, &host_bytes);
        }
        for (const struct yaml_node *one = node->kind == YAML_SEQUENCE ? node->child : NULL;
             rc == 0 && one; one = one->next) {
            rc = make_resident(reader, one, d, tiers, device_bytes, &host_bytes);
        }
    }
    for (uint32_t m = 0; m < config->model_count; m++) {
        const struct config_model *model = &config->models[m];
        for (uint32_t p = 0; p < model->placements.count; p++) {
            uint32_t d = model->placements.item[p].device;
            uint32_t *tier = &tiers[(size_t)m * devices + d];
            for (uint32_t t = 0; t < model->tiers.count && *tier == SHUNT_TIER_STOPPED; t++) {
                if (place(config, m, d, model->tiers.tier[t], device_bytes, &host_bytes)) {
                    *tier = model->tiers.tier[t];
                    break;
                }
            }
        }
    }
    return rc;
}

/* ------------------------------------------------------------------ faults */

static int read_fault(struct scenario_reader *reader, struct yaml_node *map,
                      struct scenario_fault *fault)
{
    uint32_t kind = 0;
    int rc = scenario_time(reader, map, "faults[]", "at_s", &fault->at_ns);
    rc = rc ? rc : scenario_choice(reader, map, "faults[]", "kind", &kind);
    if (rc) {
        return rc;
    }
    fault->kind = (enum scenario_fault_kind)kind;
    bool of_model = fault->kind == SCENARIO_FAULT_ENGINE_LOST;
    const char *key = of_model ? "model" : "device", *name = NULL;
    rc = scenario_text(reader, map, "faults[]", key, &name);
    if (rc == 0 && !name) {
        rc = yaml_fail(reader->yaml, map, "%s is missing: which is it?", key);
    }
    if (rc == 0) {
        rc = of_model ? scenario_find_model(reader, yaml_get(map, key), name, &fault->index)
                      : scenario_find_device(reader, yaml_get(map, key), name, &fault->index);
    }
    return rc ? rc : yaml_end(reader->yaml, map);
}

static int read_faults(struct scenario_reader *reader)
{
    struct yaml_node *list = NULL;
    int rc = scenario_list(reader, reader->root, "", "faults", &list);
    if (rc || !list) {
        return rc;
    }
    struct scenario_fault *faults = scenario_alloc(reader, list->count, sizeof *faults);
    if (!faults) {
        return -ENOMEM;
    }
    uint32_t count = 0;
    for (struct yaml_node *node = list->child; node; node = node->next) {
        struct scenario_fault fault = {0};
        rc = read_fault(reader, node, &fault);
        if (rc) {
            return rc;
        }
        /* By time; file order at ties. */
        uint32_t at = count++;
        for (; at > 0 && faults[at - 1].at_ns > fault.at_ns; at--) {
            faults[at] = faults[at - 1];
        }
        faults[at] = fault;
    }
    reader->scenario->faults = faults;
    reader->scenario->fault_count = count;
    return 0;
}

/* ------------------------------------------------------------------ all of it */

static int read_scalars(struct scenario_reader *reader)
{
    struct scenario *scenario = reader->scenario;
    struct yaml_node *root = reader->root, *warmup = NULL;
    uint32_t label = 0, costs = 0, load = 0;
    int64_t requests = 0, visits = 0;
    int rc = scenario_text(reader, root, "", "scenario", &scenario->name);
    rc = rc ? rc : scenario_choice(reader, root, "", "label", &label);
    rc = rc ? rc : scenario_int(reader, root, "", "requests", &requests);
    rc = rc ? rc : scenario_time(reader, root, "", "horizon_s", &scenario->horizon_ns);
    rc = rc ? rc
            : scenario_time(reader, root, "", "decision_latency_s", &scenario->decision_latency_ns);
    rc = rc ? rc : scenario_choice(reader, root, "", "costs", &costs);
    rc = rc ? rc : scenario_choice(reader, root, "", "load", &load);
    rc = rc ? rc : scenario_map(reader, root, "", "warmup", &warmup);
    rc = rc ? rc
            : scenario_real(reader, warmup, "warmup", "arrivals_fraction",
                            &scenario->warmup_fraction);
    rc = rc ? rc : scenario_int(reader, warmup, "warmup", "visits", &visits);
    if (rc == 0 && warmup) {
        rc = yaml_end(reader->yaml, warmup);
    }
    scenario->label = (enum scenario_label)label;
    scenario->requests_max = (uint64_t)requests;
    scenario->warmup_visits = (uint64_t)visits;
    scenario->costs_known = costs == 1;
    scenario->load = (enum scenario_load_kind)load;
    return rc;
}

int scenario_read_rest(struct scenario_reader *reader, bool arrivals_wanted)
{
    int rc = read_scalars(reader);
    rc = rc ? rc : read_clients(reader);
    rc = rc ? rc : read_initial(reader);
    rc = rc ? rc : read_faults(reader);
    rc = rc ? rc : read_arrivals(reader, arrivals_wanted);
    return rc ? rc : yaml_end(reader->yaml, reader->root);
}

static int read_scenario(struct scenario_reader *reader)
{
    if (reader->root->kind != YAML_MAPPING) {
        return yaml_fail(reader->yaml, reader->root, "a scenario is a mapping of keys");
    }
    struct yaml_node **nodes = NULL;
    int rc = read_config(reader);
    rc = rc ? rc : read_models(reader, &nodes);
    rc = rc ? rc : scenario_read_switch(reader, nodes);
    rc = rc ? rc : end_lists(reader);
    return rc ? rc : scenario_read_rest(reader, true);
}

int scenario_parse(const char *text, size_t size, const char *name, const char *traces,
                   struct scenario **ret_scenario, char *err, size_t err_size)
{
    struct scenario_reader reader;
    int rc = scenario_begin(&reader, name, traces, err, err_size);
    if (!reader.scenario) {
        return rc;
    }
    if (rc == 0) {
        crypto_hash_sha256(reader.scenario->hash, (const unsigned char *)text, size);
        rc = yaml_parse(text, size, name, &reader.yaml, err, err_size);
    }
    if (rc == 0) {
        reader.root = yaml_root(reader.yaml);
        rc = read_scenario(&reader);
    }
    return scenario_finish(&reader, rc, ret_scenario);
}

int scenario_load(const char *path, const char *traces, struct scenario **ret_scenario, char *err,
                  size_t err_size)
{
    char *text = NULL;
    size_t size = 0;
    int rc = scenario_slurp(path, YAML_FILE_BYTES_MAX, &text, &size, err, err_size);
    if (rc == 0) {
        rc = scenario_parse(text, size, path, traces, ret_scenario, err, err_size);
    }
    free(text);
    return rc;
}

/* ------------------------------------------------------------------ asking */

uint32_t scenario_models(const struct scenario *scenario)
{
    return scenario->config->model_count;
}

uint32_t scenario_devices(const struct scenario *scenario)
{
    return scenario->config->device_count;
}

const char *scenario_model_name(const struct scenario *scenario, uint32_t model)
{
    assert(model < scenario->config->model_count);
    return scenario->config->models[model].name;
}

const char *scenario_label_name(enum scenario_label label)
{
    static const char *const names[] = {"real", "semi", "synthetic"};
    assert((size_t)label < sizeof(names) / sizeof(names[0]));
    return names[label];
}

int64_t scenario_work_ns(const struct scenario *scenario, const struct arrival *arrival)
{
    const struct scenario_service *service = &scenario->models[arrival->model].service;
    int64_t work_ns = arrival->service_ns > 0 ? arrival->service_ns : 0;
    switch (service->kind) {
    case SCENARIO_SERIAL:
    case SCENARIO_UNLIMITED:
        break;
    case SCENARIO_PS:
        work_ns = (int64_t)((double)work_ns / service->rate);
        break;
    case SCENARIO_BATCH: {
        int64_t in = arrival->input_tokens > 0 ? arrival->input_tokens : 0;
        int64_t out = arrival->output_tokens > 0 ? arrival->output_tokens : 0;
        int64_t prefill_ps = 0, step_ps = 0, steps_ps = 0, contexts_ps = 0, sum_ps = 0;
        int64_t context = 0; /* half way, in tokens */
        step_ps = service->d0_ps + 16 * service->d1_ps;
        if (__builtin_mul_overflow(service->p1_ps, in, &prefill_ps) ||
            __builtin_mul_overflow(step_ps, out, &steps_ps) ||
            __builtin_add_overflow(prefill_ps, service->p0_ps, &prefill_ps) ||
            __builtin_add_overflow(in, out / 2, &context) ||
            __builtin_mul_overflow(service->d2_ps, context, &contexts_ps) ||
            __builtin_mul_overflow(contexts_ps, out, &contexts_ps) ||
            __builtin_add_overflow(steps_ps / 16, contexts_ps, &steps_ps) ||
            __builtin_add_overflow(prefill_ps, steps_ps, &sum_ps)) {
            return INT64_MAX / 1000;
        }
        work_ns = sum_ps / 1000;
        break;
    }
    }
    return work_ns;
}
