/* Verbs that show what is: status and models. Times are seconds. */
#include "host/admin/admin_priv.h"

#include "base/config.h"
#include "host/words.h"

#include <math.h>

static json_t *bound(int64_t ns)
{
    return ns ? admin_seconds(ns) : json_null();
}

static json_t *bounds_json(const struct core *core, uint32_t model)
{
    struct core_bounds expected;
    struct core_bounds guaranteed;
    core_bounds_expected(core, model, &expected);
    core_bounds_guaranteed(core, model, &guaranteed);
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "gap_expected_s", bound(expected.gap_ns),
                     "gap_guaranteed_s", bound(guaranteed.gap_ns), "wait_expected_s",
                     bound(expected.wait_ns), "wait_guaranteed_s", bound(guaranteed.wait_ns),
                     "reason", admin_text_or_null(guaranteed.reason));
}

static json_t *instance_json(const struct cell *cell, uint32_t index,
                             const struct core_instance_view *view)
{
    struct cell_engine_view engine;
    cell_engine_view(cell, index, &engine);
    json_t *quarantine = view->quarantined
                             ? admin_seconds(view->quarantined_until_ns - cell_now_ns(cell))
                             : json_null();
    return json_pack(
        "{s:s, s:s, s:s, s:i, s:b, s:b, s:o, s:I, s:I, s:s, s:o, s:i, s:b, s:I, s:I, "
        "s:o}",
        "device", cell_device_name(cell, view->device), "state", words_instance_state(view->state),
        "tier", words_tier(view->tier), "in_flight", (int)view->in_flight, "admitting",
        (int)view->admitting, "pinned", (int)view->pinned, "quarantined_for_s", quarantine,
        "device_bytes", (json_int_t)view->device_bytes, "host_bytes", (json_int_t)view->host_bytes,
        "engine", engine.driver ? engine.driver : "", "origin", admin_text_or_null(engine.origin),
        "pid", engine.pid, "attached", (int)engine.attached, "starts", (json_int_t)engine.starts,
        "failures", (json_int_t)engine.failures, "last_error",
        admin_text_or_null(engine.last_error));
}

static json_t *instances_json(const struct cell *cell, uint32_t model)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < cell_instance_count(cell); i++) {
        struct core_instance_view view;
        if (core_instance_view(cell_core(cell), i, &view) == 0 && view.model == model) {
            (void)json_array_append_new(list, instance_json(cell, i, &view));
        }
    }
    return list;
}

static json_t *model_json(const struct cell *cell, uint32_t model)
{
    struct core_model_stats stats;
    int64_t now = cell_now_ns(cell);
    core_model_stats(cell_core(cell), model, now, &stats);
    uint64_t rejected = 0;
    for (int i = 0; i < CORE_REJECT_COUNT; i++) {
        rejected += stats.rejected[i];
    }
    json_t *json = json_pack(
        "{s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
        cell_model_name(cell, model), "queued", (int)stats.queued, "in_flight",
        (int)stats.in_flight, "accepted", (json_int_t)stats.arrived, "rejected",
        (json_int_t)rejected, "completed", (json_int_t)stats.ended[SHUNT_OUTCOME_COMPLETED],
        "cancelled", (json_int_t)stats.ended[SHUNT_OUTCOME_CANCELLED], "expired",
        (json_int_t)stats.ended[SHUNT_OUTCOME_EXPIRED], "failed",
        (json_int_t)stats.ended[SHUNT_OUTCOME_FAILED], "cut",
        (json_int_t)stats.ended[SHUNT_OUTCOME_CUT], "visits", (json_int_t)stats.visits,
        "output_tokens", (json_int_t)stats.output_tokens);
    bool waits = stats.head_arrival_ns != CORE_NEVER;
    (void)json_object_set_new(json, "oldest_s",
                              waits ? admin_seconds(now - stats.head_arrival_ns) : json_null());
    (void)json_object_set_new(json, "eta_s",
                              stats.eta_ns >= 0 ? admin_seconds(stats.eta_ns) : json_null());
    (void)json_object_set_new(json, "gap_max_s", admin_seconds(stats.gap_max_ns));
    (void)json_object_set_new(json, "bounds", bounds_json(cell_core(cell), model));
    (void)json_object_set_new(json, "instances", instances_json(cell, model));
    return json;
}

static json_t *guard_json(const struct cell *cell, uint32_t device,
                          const struct core_device_stats *stats)
{
    struct core_guard_values values;
    core_guard_values(cell_core(cell), device, &values);
    json_t *counts = json_object();
    for (uint32_t i = 0; i < CORE_GUARD_KIND_COUNT; i++) {
        (void)json_object_set_new(counts, words_guard(i),
                                  json_integer((json_int_t)stats->guard[i]));
    }
    return json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "models", (int)values.models,
                     "overtakes", (int)values.overtakes, "age_s", admin_seconds(values.age_ns),
                     "visit_cap_s", admin_seconds(values.visit_cap_ns), "drain_s",
                     admin_seconds(values.drain_ns), "switch_limit_s",
                     admin_seconds(values.switch_limit_ns), "answer_s",
                     admin_seconds(values.answer_ns), "counts", counts);
}

static json_t *device_json(const struct cell *cell, uint32_t device)
{
    struct core_device_stats stats;
    core_device_stats(cell_core(cell), device, cell_now_ns(cell), &stats);
    json_t *times = json_object();
    for (uint32_t i = 0; i < SHUNT_DEVICE_STATE_COUNT; i++) {
        (void)json_object_set_new(times, words_device_state(i), admin_seconds(stats.state_ns[i]));
    }
    int64_t serving = stats.state_ns[SHUNT_DEVICE_SERVING];
    json_t *resident = json_array();
    int64_t held = 0;
    for (uint32_t i = 0; i < cell_instance_count(cell); i++) {
        struct core_instance_view view;
        if (core_instance_view(cell_core(cell), i, &view) || view.device != device) {
            continue;
        }
        held += view.device_bytes;
        if (view.tier == SHUNT_TIER_RESIDENT) {
            (void)json_array_append_new(resident, json_string(cell_model_name(cell, view.model)));
        }
    }
    return json_pack(
        "{s:s, s:s, s:b, s:o, s:I, s:o, s:o, s:I, s:I, s:I, s:o}", "name",
        cell_device_name(cell, device), "state", words_device_state(stats.state), "up",
        (int)stats.up, "resident", resident, "held_bytes", (json_int_t)held, "time_s", times,
        "mean_batch",
        serving > 0 ? json_real((double)stats.batch_integral_ns / (double)serving) : json_null(),
        "switches", (json_int_t)stats.switches, "visits", (json_int_t)stats.visits, "visits_forced",
        (json_int_t)stats.visits_forced, "guard", guard_json(cell, device, &stats));
}

static json_t *policy_json(const struct cell *cell)
{
    uint32_t selected = cell_slot_selected(cell);
    if (selected == CORE_NONE) {
        return json_pack("{s:s, s:s, s:s, s:s}", "id", "fifo", "version", "", "hash", "builtin",
                         "reference", "fifo");
    }
    struct cell_slot_view slot;
    cell_slot_view(cell, selected, &slot);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f}", "id", slot.id, "version", slot.version,
                     "hash", slot.hash, "reference", slot.reference, "decisions",
                     (json_int_t)slot.decisions, "faults", (json_int_t)slot.faults, "decide_max_us",
                     (double)slot.decide_max_ns / 1e3);
}

static json_t *cell_json(const struct cell *cell)
{
    struct cell_stats stats;
    char drift[CELL_ERROR_BYTES_MAX] = "";
    cell_stats(cell, &stats);
    bool drifted = cell_drift(cell, drift, sizeof drift);
    json_t *models = json_array();
    for (uint32_t i = 0; i < cell_model_count(cell); i++) {
        (void)json_array_append_new(models, model_json(cell, i));
    }
    json_t *devices = json_array();
    for (uint32_t i = 0; i < cell_device_count(cell); i++) {
        (void)json_array_append_new(devices, device_json(cell, i));
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:{s:I, s:I, s:I}, s:I}", "name", cell_name(cell),
                     "policy", policy_json(cell), "drift",
                     drifted ? json_string(drift) : json_null(), "devices", devices, "models",
                     models, "journal", "records", (json_int_t)stats.journal_records, "dropped",
                     (json_int_t)stats.journal_dropped, "bytes", (json_int_t)stats.journal_bytes,
                     "requests_held", (json_int_t)stats.requests_held);
}

void admin_status(struct admin_call *call)
{
    static const char *const phases[] = {"starting", "ready", "draining"};
    const struct admin *admin = call->admin;
    const struct worker *worker = admin->worker;
    json_t *cells = json_array();
    for (uint32_t i = 0; i < worker_cell_count(worker); i++) {
        (void)json_array_append_new(cells, cell_json(worker_cell(worker, i)));
    }
    admin_answer(call, json_pack("{s:s, s:s, s:i, s:I, s:I, s:o}", "phase",
                                 phases[worker_phase(worker)], "config", worker_config_path(worker),
                                 "worker_restarts", (int)worker_restarts(worker), "connections",
                                 (json_int_t)(admin->front ? front_connections(admin->front) : 0),
                                 "requests",
                                 (json_int_t)(admin->front ? front_requests(admin->front) : 0),
                                 "cells", cells));
}

void admin_models(struct admin_call *call)
{
    const struct worker *worker = call->admin->worker;
    const struct config *config = worker_config(worker);
    json_t *list = json_array();
    for (uint32_t c = 0; c < worker_cell_count(worker); c++) {
        const struct cell *cell = worker_cell(worker, c);
        for (uint32_t m = 0; m < cell_model_count(cell); m++) {
            json_t *model = model_json(cell, m);
            json_t *aliases = json_array();
            int index = config_find_model(config, cell_model_name(cell, m));
            for (uint32_t a = 0; index >= 0 && a < config->models[index].aliases.count; a++) {
                (void)json_array_append_new(aliases,
                                            json_string(config->models[index].aliases.item[a]));
            }
            (void)json_object_set_new(model, "cell", json_string(cell_name(cell)));
            (void)json_object_set_new(model, "aliases", aliases);
            (void)json_array_append_new(list, model);
        }
    }
    admin_answer(call, json_pack("{s:o}", "models", list));
}
