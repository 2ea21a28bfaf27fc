/* Engines of a cell: steps of the core, what engines report by themselves, preloading. */
#include "host/worker/cell_priv.h"

#include "host/say.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_step_done(void *ctx, const struct engine_result *result)
{
    struct device_engine *e = ctx;
    struct cell *cell = e->cell;
    e->stepping = false;
    if (!result->ok) {
        say(SAY_WARNING, "step_failed", "%s: %s; it is %s now", engine_key(e->engine),
            result->message, config_tier_name(result->tier));
    }
    struct core_input input = {.kind = CORE_IN_STEP,
                               .u.step = {.switch_id = e->switch_id,
                                          .instance = e->instance,
                                          .step = e->step,
                                          .ok = result->ok,
                                          .tier = result->tier,
                                          .device_bytes = -1,
                                          .memory_stuck = result->memory_stuck,
                                          .retry = result->retry}};
    cell_feed(cell, &input);
}

void cell_engine_action(struct cell *cell, const struct core_action *action)
{
    const struct core_act_step *step = &action->u.step;
    struct device_engine *e = cell->engines[step->instance];
    if (action->kind == CORE_ACT_STEP_CANCEL) {
        engine_step_cancel(e->engine);
        return;
    }
    assert(!e->stepping);
    e->stepping = true;
    e->switch_id = step->switch_id;
    e->step = step->step;
    if (step->step == CORE_STEP_OUT) {
        for (uint32_t i = 0; i < cell->observer_count; i++) {
            if (cell->observers[i]->engine_down) {
                cell->observers[i]->engine_down(cell->observers[i]->ctx, cell,
                                                engine_origin(e->engine));
            }
        }
    }
    engine_step(e->engine, (enum core_step)step->step, step->from_tier, step->to_tier,
                step->deadline_ns, on_step_done, e);
}

/* ------------------------------------------------------------------ services */

static int service_spawn(void *ctx, struct engine *engine, const char *const *argv,
                         const char *const *env)
{
    struct cell *cell = ctx;
    return cell->setup.spawn(cell->setup.ctx, engine, argv, env);
}

static int service_stop(void *ctx, struct engine *engine)
{
    struct cell *cell = ctx;
    return cell->setup.stop(cell->setup.ctx, engine);
}

static void service_lost(void *ctx, struct engine *engine, const char *why)
{
    struct cell *cell = ctx;
    say(SAY_WARNING, "engine_lost", "%s: %s", engine_key(engine), why);
    struct core_input input = {.kind = CORE_IN_ENGINE_LOST,
                               .u.engine_lost = {.instance = engine_instance(engine),
                                                 .tier = SHUNT_TIER_STOPPED,
                                                 .requeue = 1}};
    if (cell->started) {
        cell_feed(cell, &input);
    }
}

static void service_down(void *ctx, struct engine *engine, const char *origin)
{
    struct cell *cell = ctx;
    (void)engine;
    for (uint32_t i = 0; i < cell->observer_count; i++) {
        if (cell->observers[i]->engine_down) {
            cell->observers[i]->engine_down(cell->observers[i]->ctx, cell, origin);
        }
    }
}

static void service_figures(void *ctx, struct engine *engine, const struct engine_figures *figures)
{
    struct cell *cell = ctx;
    struct core_input input = {.kind = CORE_IN_ENGINE,
                               .u.engine = {.instance = engine_instance(engine),
                                            .tier = SHUNT_NONE,
                                            .device_bytes = -1,
                                            .host_bytes = -1,
                                            .running = figures->running,
                                            .waiting = figures->waiting,
                                            .kv_used_bytes = -1,
                                            .kv_total_bytes = -1,
                                            .prefix_hit_ratio = figures->prefix_hit_ratio}};
    if (cell->started) {
        cell_feed(cell, &input);
    }
}

/* ------------------------------------------------------------------ making */

static const struct engine_services *services_of(struct cell *cell)
{
    cell->services = (struct engine_services){.loop = cell->loop,
                                              .ctx = cell,
                                              .spawn = service_spawn,
                                              .stop = service_stop,
                                              .lost = service_lost,
                                              .down = service_down,
                                              .figures = service_figures};
    return &cell->services;
}

static struct engine_setup setup_of(struct cell *cell, const struct layout *layout, uint32_t i)
{
    const struct layout_instance *instance = &layout->instances[i];
    return (struct engine_setup){.services = services_of(cell),
                                 .model = layout->models[instance->model],
                                 .key = instance->key,
                                 .device = layout->devices[instance->device]->name,
                                 .device_memory_bytes =
                                     layout->devices[instance->device]->memory_bytes,
                                 .state_dir = layout->config->state_dir,
                                 .connect_timeout_ns = layout->config->limits.connect_timeout_ns,
                                 .memory_timeout_ns = layout->config->guard.memory_timeout_ns,
                                 .instance = i};
}

static int engine_add(struct cell *cell, const struct layout *layout, uint32_t i,
                      struct device_engine **ret, char *err, size_t err_size)
{
    char why[300] = "";
    struct device_engine *e = calloc(1, sizeof(*e));
    if (!e) {
        return -ENOMEM;
    }
    e->cell = cell;
    e->instance = i;
    struct engine_setup setup = setup_of(cell, layout, i);
    int rc = engine_create(&setup, &e->engine, why, sizeof(why));
    if (rc) {
        const struct config_model *model = layout->models[layout->instances[i].model];
        (void)snprintf(err, err_size, "%s:%u: models[%s]: %s", layout->config->file, model->line,
                       model->name, why);
        free(e);
        return rc;
    }
    *ret = e;
    return 0;
}

/* The engines of a layout: those that exist already by key, and new ones. */
int cell_engines_reload(struct cell *cell, const struct layout *layout,
                        struct device_engine ***ret_engines, char *err, size_t err_size)
{
    struct device_engine **engines =
        calloc(layout->instance_count + 1u, sizeof(struct device_engine *));
    if (!engines) {
        return -ENOMEM;
    }
    *ret_engines = engines;
    for (uint32_t i = 0; i < layout->instance_count; i++) {
        uint32_t old = 0;
        if (cell->engines && layout_find(cell->layout, layout->instances[i].key, &old) == 0) {
            engines[i] = cell->engines[old];
            continue;
        }
        int rc = engine_add(cell, layout, i, &engines[i], err, err_size);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static bool is_held(struct device_engine *const *engines, uint32_t count,
                    const struct device_engine *e)
{
    for (uint32_t i = 0; i < count; i++) {
        if (engines[i] == e) {
            return true;
        }
    }
    return false;
}

static void engine_remove(struct device_engine *e)
{
    if (e) {
        engine_destroy(e->engine);
        free(e);
    }
}

/* A reload failed: what was new goes again. */
void cell_engines_discard(struct cell *cell, struct device_engine **engines, uint32_t count)
{
    for (uint32_t i = 0; engines && i < count; i++) {
        if (!is_held(cell->engines, cell->layout->instance_count, engines[i])) {
            engine_remove(engines[i]);
        }
    }
    free((void *)engines);
}

void cell_engines_swap(struct cell *cell, const struct layout *layout,
                       struct device_engine **engines)
{
    for (uint32_t i = 0; i < cell->layout->instance_count; i++) {
        if (!is_held(engines, layout->instance_count, cell->engines[i])) {
            engine_remove(cell->engines[i]);
        }
    }
    for (uint32_t i = 0; i < layout->instance_count; i++) {
        struct engine_setup setup = setup_of(cell, layout, i);
        engine_reconfigure(engines[i]->engine, &setup);
        engines[i]->instance = i;
        engines[i]->settled = true;
    }
    free((void *)cell->engines);
    cell->engines = engines;
}

int cell_engines_create(struct cell *cell, char *err, size_t err_size)
{
    struct device_engine **engines = NULL;
    int rc = cell_engines_reload(cell, cell->layout, &engines, err, err_size);
    cell->engines = engines; /* also half made: cell_destroy frees it */
    return rc;
}

void cell_engines_destroy(struct cell *cell)
{
    for (uint32_t i = 0; cell->engines && i < cell->layout->instance_count; i++) {
        engine_remove(cell->engines[i]);
    }
    free((void *)cell->engines);
    cell->engines = NULL;
}

void cell_engine_suspect(struct cell *cell, uint32_t instance)
{
    engine_suspect(cell->engines[instance]->engine);
}

/* ------------------------------------------------------------------ preload */

/* Brings in the next model that wants it and has not been in; one after the other. */
void cell_preload(struct cell *cell)
{
    while (cell->preload_next < cell->layout->model_count) {
        uint32_t m = cell->preload_next;
        bool cold = true;
        for (uint32_t i = 0; i < cell->layout->instance_count; i++) {
            struct core_instance_view view;
            if (cell->layout->instances[i].model == m &&
                core_instance_view(cell->core, i, &view) == 0) {
                cold = cold && view.tier == SHUNT_TIER_STOPPED;
            }
        }
        if (cell->layout->models[m]->preload && cold) {
            cell->preloading = true;
            struct core_input input = {
                .kind = CORE_IN_OPERATOR,
                .u.op = {.operation = CORE_OP_LOAD, .model = m, .instance = SHUNT_NONE}};
            cell_feed(cell, &input);
            return;
        }
        cell->preload_next++;
    }
    cell->preloading = false;
}

void cell_engine_record(struct cell *cell, const struct core_rec_instance *record)
{
    if (!cell->preloading || record->model != cell->preload_next) {
        return;
    }
    bool over = record->state == SHUNT_INSTANCE_RESIDENT ||
                record->state == SHUNT_INSTANCE_FAILED ||
                record->state == SHUNT_INSTANCE_QUARANTINED;
    if (over) {
        cell->preload_next++;
        cell_preload(cell); /* queued: the present input is still being carried out */
    }
}
