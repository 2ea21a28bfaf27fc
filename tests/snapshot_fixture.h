/*
 * A snapshot to ask a policy about, built by hand: for tests of policies.
 *
 *     struct fixture f;
 *     fixture_init(&f, 3, 1);                 three models, one device, an instance each
 *     fixture_resident(&f, 0, 0);             model 0 is resident on device 0
 *     fixture_queue(&f, 1, 4, f.now_ns - 5);  model 1: four requests wait, the oldest since then
 *     fixture_cost(&f, 0, 1, 3e9);            switching from 0 to 1 takes 3 s
 *     const struct shunt_answer *answer = fixture_ask(&f, 0, SHUNT_WHY_ARRIVAL);
 *
 * Instance i of device d is d * models + model. Columns not set have the value for "nothing" or
 * "unknown". fixture_hide makes a column absent.
 */
#ifndef TESTS_SNAPSHOT_FIXTURE_H
#define TESTS_SNAPSHOT_FIXTURE_H

#include "base/policy.h"
#include "core/blob.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    uint32_t models, devices, instances;
    int64_t now_ns;
    struct core_blob snapshot, costs;
    struct plugin_registry *registry;
    const struct plugin *plugin;
    struct policy *policy;
    uint64_t asks;
};

static inline void *fixture_column(const struct fixture *f, uint32_t id)
{
    void *data = id >= 192 ? f->costs.column[id] : f->snapshot.column[id];
    assert(data);
    return data;
}

#define FIXTURE_U32(f, name) ((uint32_t *)fixture_column((f), SHUNT_COL_##name))
#define FIXTURE_I64(f, name) ((int64_t *)fixture_column((f), SHUNT_COL_##name))
#define FIXTURE_U64(f, name) ((uint64_t *)fixture_column((f), SHUNT_COL_##name))
#define FIXTURE_F64(f, name) ((double *)fixture_column((f), SHUNT_COL_##name))

/* Sets every element of every estimate to "unknown" and every index to "none". */
static inline void fixture_clear(struct fixture *f)
{
    for (uint32_t m = 0; m < f->models; m++) {
        FIXTURE_I64(f, HEAD_ARRIVAL_NS)[m] = INT64_MAX;
        FIXTURE_I64(f, HEAD_DEADLINE_NS)[m] = INT64_MAX;
        FIXTURE_F64(f, SERVICE_MEAN_NS)[m] = (double)NAN;
        FIXTURE_F64(f, SERVICE_VAR_NS2)[m] = (double)NAN;
        FIXTURE_F64(f, WORK_MEAN_NS)[m] = (double)NAN;
        FIXTURE_F64(f, DRAIN_MEAN_NS)[m] = (double)NAN;
        FIXTURE_F64(f, OUTPUT_TOKENS_MEAN)[m] = (double)NAN;
        FIXTURE_F64(f, WEIGHT)[m] = 1;
        FIXTURE_U64(f, PLACEMENTS)[m] = (UINT64_C(1) << f->devices) - 1;
        FIXTURE_U32(f, MAX_CONCURRENCY)[m] = 1;
        FIXTURE_U32(f, FORCED_DEVICE)[m] = SHUNT_NONE;
        for (uint32_t tier = 0; tier < SHUNT_TIER_COUNT; tier++) {
            uint32_t at = m * SHUNT_TIER_COUNT + tier;
            FIXTURE_F64(f, OUT_MEAN_NS)[at] = (double)NAN;
            FIXTURE_F64(f, OUT_P95_NS)[at] = (double)NAN;
            FIXTURE_F64(f, IN_MEAN_NS)[at] = (double)NAN;
            FIXTURE_F64(f, IN_P95_NS)[at] = (double)NAN;
        }
    }
    for (uint32_t d = 0; d < f->devices; d++) {
        FIXTURE_U32(f, DEVICE_MODEL)[d] = SHUNT_NONE;
        FIXTURE_U32(f, DEVICE_TARGET)[d] = SHUNT_NONE;
        FIXTURE_I64(f, VISIT_CAP_NS)[d] = INT64_MAX;
        FIXTURE_U32(f, DEVICE_UP)[d] = 1;
    }
    for (uint32_t i = 0; i < f->instances; i++) {
        FIXTURE_U32(f, INSTANCE_MODEL)[i] = i % f->models;
        FIXTURE_U32(f, INSTANCE_DEVICE)[i] = i / f->models;
        FIXTURE_U32(f, ENGINE_RUNNING)[i] = SHUNT_NONE;
        FIXTURE_U32(f, ENGINE_WAITING)[i] = SHUNT_NONE;
        FIXTURE_I64(f, INSTANCE_BUSY_SINCE_NS)[i] = INT64_MAX;
        /* Nothing fits beside what is resident until a test frees memory. */
        FIXTURE_I64(f, DEVICE_BYTES)[i * SHUNT_TIER_COUNT + SHUNT_TIER_RESIDENT] = 1;
    }
    for (uint32_t i = 0; i < (f->models + 1) * f->models; i++) {
        FIXTURE_F64(f, COST_MEAN_NS)[i] = (double)NAN;
        FIXTURE_F64(f, COST_VAR_NS2)[i] = (double)NAN;
        FIXTURE_F64(f, COST_P95_NS)[i] = (double)NAN;
    }
}

/* Aborts when memory is short: this is a test. */
static inline void fixture_init(struct fixture *f, uint32_t models, uint32_t devices)
{
    *f = (struct fixture){.models = models,
                          .devices = devices,
                          .instances = models * devices,
                          .now_ns = INT64_C(1000000000000)};
    void *memory = calloc(1, core_blob_size(false, models, devices, f->instances));
    void *cost_memory = calloc(1, core_blob_size(true, models, devices, f->instances));
    if (!memory || !cost_memory) {
        abort();
    }
    core_blob_init(&f->snapshot, memory, false, models, devices, f->instances);
    core_blob_init(&f->costs, cost_memory, true, models, devices, f->instances);
    fixture_clear(f);
}

static inline void fixture_fini(struct fixture *f)
{
    policy_destroy(f->policy, SHUNT_EXIT_SHUTDOWN, 0, "end of test", f->now_ns);
    plugin_registry_destroy(f->registry);
    free(f->snapshot.head);
    free(f->costs.head);
}

static inline void fixture_stamp(struct fixture *f)
{
    f->snapshot.head->now_ns = f->now_ns;
    f->costs.head->now_ns = f->now_ns;
}

static inline int fixture_notify(struct fixture *f, uint32_t hook)
{
    struct core_act_notify notify = {.hook = hook};
    fixture_stamp(f);
    return policy_notify(f->policy, &notify, f->now_ns, f->snapshot.head);
}

/* Runs `entry` (a policy linked into the test) with `settings` ("name=value", NULL at the end). */
static inline void fixture_policy(struct fixture *f, const struct shunt_plugin *entry,
                                  const char *const *settings)
{
    char err[PLUGIN_ERROR_BYTES] = "";
    struct params *params = NULL;
    char(*names)[16] = calloc(f->models, sizeof *names);
    const char **models = calloc(f->models, sizeof *models);
    for (uint32_t i = 0; names && models && i < f->models; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%u", i);
        models[i] = names[i];
    }
    int rc = plugin_registry_create(NULL, &f->registry);
    rc = rc ? rc : plugin_builtin(f->registry, entry, &f->plugin, err, sizeof err);
    rc = rc ? rc : params_create(&f->plugin->schema, models, f->models, &params);
    for (; rc == 0 && settings && *settings; settings++) {
        char text[PARAMS_TEXT_BYTES_MAX];
        struct param_assignment given;
        (void)snprintf(text, sizeof text, "%s", *settings);
        rc = param_assignment_split(text, &given, err, sizeof err);
        rc = rc ? rc : params_apply(params, &given, 1, PARAM_ORIGIN_CONFIG, false, err, sizeof err);
    }
    const struct policy_options options = {.plugin = f->plugin, .seed = 1, .now_ns = f->now_ns};
    rc = rc ? rc : policy_create(&options, params, &f->policy, err, sizeof err);
    rc = rc ? rc : fixture_notify(f, CORE_HOOK_LAYOUT);
    free(names);
    free(models);
    if (rc) {
        (void)fprintf(stderr, "fixture_policy: %s\n", err);
        abort();
    }
}

/* The visit of `model` on `device` starts now; the model before it is asleep. */
static inline void fixture_resident(struct fixture *f, uint32_t model, uint32_t device)
{
    for (uint32_t m = 0; m < f->models; m++) {
        uint32_t i = device * f->models + m;
        bool here = m == model;
        FIXTURE_U32(f, INSTANCE_STATE)[i] = here ? SHUNT_INSTANCE_RESIDENT : SHUNT_INSTANCE_ASLEEP;
        FIXTURE_U32(f, INSTANCE_TIER)[i] = here ? SHUNT_TIER_RESIDENT : SHUNT_TIER_ASLEEP;
        FIXTURE_U32(f, INSTANCE_ADMITTING)[i] = here;
        FIXTURE_I64(f, INSTANCE_BUSY_NS)[i] = 0; /* a visit begins */
        FIXTURE_I64(f, INSTANCE_BUSY_SINCE_NS)[i] = INT64_MAX;
        uint64_t bit = UINT64_C(1) << device;
        FIXTURE_U64(f, RESIDENT_DEVICES)[m] &= ~bit;
        FIXTURE_U64(f, RESIDENT_DEVICES)[m] |= here ? bit : 0;
        FIXTURE_U32(f, WAITING)
        [m] = FIXTURE_U32(f, QUEUE_LEN)[m] > 0 && FIXTURE_U64(f, RESIDENT_DEVICES)[m] == 0;
    }
    FIXTURE_U32(f, DEVICE_MODEL)[device] = model;
    FIXTURE_U32(f, DEVICE_TARGET)[device] = SHUNT_NONE;
    FIXTURE_I64(f, VISIT_START_NS)[device] = f->now_ns;
    FIXTURE_I64(f, VISIT_FIRST_DISPATCH_NS)[device] = 0;
    FIXTURE_U64(f, VISIT_SERVED)[device] = 0;
    FIXTURE_I64(f, LAST_VISIT_NS)[model] = f->now_ns;
    FIXTURE_U64(f, VISITS)[model]++;
}

static inline void fixture_queue(struct fixture *f, uint32_t model, uint32_t length,
                                 int64_t head_arrival_ns)
{
    FIXTURE_U32(f, QUEUE_LEN)[model] = length;
    FIXTURE_I64(f, HEAD_ARRIVAL_NS)[model] = length > 0 ? head_arrival_ns : INT64_MAX;
    FIXTURE_U32(f, WAITING)[model] = length > 0 && FIXTURE_U64(f, RESIDENT_DEVICES)[model] == 0;
}

/* from = SHUNT_NONE: the empty device. */
static inline void fixture_cost(struct fixture *f, uint32_t from, uint32_t to, double mean_ns)
{
    uint32_t row = from < f->models ? from : f->models;
    const struct shunt_column *column = shunt_column_find(f->costs.head, SHUNT_COL_COST_MEAN_NS);
    if (!column) {
        abort();
    }
    FIXTURE_F64(f, COST_MEAN_NS)[(size_t)row * column->stride + to] = mean_ns;
}

/* Makes column `id` absent, or present again. */
static inline void fixture_hide(struct fixture *f, uint32_t id, bool hidden)
{
    struct shunt_snapshot *head = id >= 192 ? f->costs.head : f->snapshot.head;
    struct shunt_column *columns =
        (struct shunt_column *)(void *)((char *)(void *)head + head->column_offset);
    for (uint32_t i = 0; i < head->column_count; i++) {
        if (columns[i].id == (hidden ? id : id + 2048)) {
            columns[i].id = hidden ? id + 2048 : id;
        }
    }
}

/* As the first ask of a visit that has dispatched `count` requests since `since_ns`, `in_flight` of
 * them still running. */
static inline void fixture_served(struct fixture *f, uint32_t device, uint64_t count,
                                  int64_t since_ns, uint32_t in_flight)
{
    uint32_t instance = device * f->models + FIXTURE_U32(f, DEVICE_MODEL)[device];
    FIXTURE_U64(f, VISIT_SERVED)[device] = count;
    FIXTURE_I64(f, VISIT_START_NS)[device] = since_ns;
    FIXTURE_I64(f, VISIT_FIRST_DISPATCH_NS)[device] = since_ns;
    FIXTURE_I64(f, INSTANCE_BUSY_SINCE_NS)[instance] = in_flight > 0 ? since_ns : INT64_MAX;
    FIXTURE_I64(f, INSTANCE_BUSY_NS)[instance] = in_flight > 0 ? 0 : f->now_ns - since_ns;
    FIXTURE_U32(f, INSTANCE_IN_FLIGHT)[instance] = in_flight;
    FIXTURE_U32(f, IN_FLIGHT)[FIXTURE_U32(f, DEVICE_MODEL)[device]] = in_flight;
}

static inline void fixture_event(struct fixture *f, uint32_t hook, uint32_t model, uint32_t device)
{
    struct core_act_notify notify = {.hook = hook};
    notify.event.request = (struct shunt_request_event){.size = sizeof notify.event.request,
                                                        .model = model,
                                                        .t_ns = f->now_ns,
                                                        .instance = device * f->models + model};
    (void)policy_notify(f->policy, &notify, f->now_ns, NULL);
}

/* Asks about `device`; aborts if decide fails. The answer lasts until the next call. */
static inline const struct shunt_answer *fixture_ask(struct fixture *f, uint32_t device,
                                                     uint32_t why)
{
    fixture_stamp(f);
    const struct shunt_ask ask = {.size = sizeof ask,
                                  .device = device,
                                  .id = ++f->asks,
                                  .generation = f->snapshot.head->generation,
                                  .now_ns = f->now_ns,
                                  .why = why,
                                  .snapshot = f->snapshot.head,
                                  .costs = f->costs.head};
    const struct shunt_answer *answer = NULL;
    if (policy_decide(f->policy, &ask, &answer) != 0) {
        abort();
    }
    return answer;
}

#endif
