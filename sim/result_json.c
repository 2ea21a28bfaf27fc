/*
 * Results as JSON: the stable form that docs/SIM.md describes. What is added later goes to the end
 * of its object; what is there keeps its name and meaning.
 */
#include "sim/result.h"
#include "sim/scenario.h"
#include "sim/wide.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

enum { SCHEMA = 1, WIDE_DIGITS = 40, HASH_HEX = 2 * SCENARIO_HASH_BYTES + 1 };

/*
 * Every helper takes over `value` and hands back `object`, or NULL once something could not be
 * allocated; so a whole object is made by a chain of calls and tested once.
 */
static json_t *put(json_t *object, const char *key, json_t *value)
{
    if (!object || !value || json_object_set_new(object, key, value)) {
        if (!object) {
            json_decref(value);
        }
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *text(const char *value)
{
    return value ? json_string(value) : json_null();
}

static json_t *integer(uint64_t value)
{
    assert(value <= INT64_MAX);
    return json_integer((json_int_t)value);
}

static json_t *borrowed(json_t *value)
{
    return value ? json_incref(value) : json_null();
}

static json_t *stat_json(const struct result_stat *stat)
{
    json_t *o = json_object();
    o = put(o, "mean", real(stat->mean_s));
    o = put(o, "se", real(stat->se_s));
    o = put(o, "batches", integer(stat->batches));
    o = put(o, "p50", real(stat->p50_s));
    o = put(o, "p95", real(stat->p95_s));
    o = put(o, "p99", real(stat->p99_s));
    o = put(o, "max", real(stat->max_s));
    o = put(o, "count", integer(stat->count));
    return put(o, "lag1", real(stat->lag1));
}

static json_t *time_json(const struct result_time *time)
{
    json_t *o = json_object();
    o = put(o, "span_s", real(time->span_s));
    o = put(o, "serving_frac", real(time->serving_frac));
    o = put(o, "draining_frac", real(time->draining_frac));
    o = put(o, "switching_frac", real(time->switching_frac));
    o = put(o, "lingering_frac", real(time->lingering_frac));
    o = put(o, "idle_frac", real(time->idle_frac));
    o = put(o, "work_per_s", real(time->work_per_s));
    o = put(o, "mean_batch", real(time->mean_batch));
    return put(o, "tokens_per_s", real(time->tokens_per_s));
}

static json_t *sha256_json(const struct result *r, const struct result_context *context)
{
    char hex[HASH_HEX];
    for (uint32_t i = 0; i < SCENARIO_HASH_BYTES; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", r->scenario->hash[i]);
    }
    json_t *o = put(json_object(), "scenario", json_string(hex));
    o = put(o, "traces", context->traces ? json_incref(context->traces) : json_array());
    return put(o, "policy", text(context->policy_sha256));
}

static json_t *policy_json(const struct result_context *context)
{
    json_t *o = put(json_object(), "name", text(context->policy_name));
    o = put(o, "version", text(context->policy_version));
    o = put(o, "params", borrowed(context->policy_params));
    o = put(o, "reference", text(context->policy));
    return put(o, "hash", text(context->policy_hash));
}

static json_t *settings_json(const struct core_guard_values *values)
{
    json_t *o = put(json_object(), "overtakes", integer(values->overtakes));
    o = put(o, "age_s", real((double)values->age_ns / 1e9));
    o = put(o, "visit_cap_s", real((double)values->visit_cap_ns / 1e9));
    o = put(o, "drain_s", real((double)values->drain_ns / 1e9));
    o = put(o, "switch_timeout_s", real((double)values->switch_limit_ns / 1e9));
    return put(o, "answer_s", real((double)values->answer_ns / 1e9));
}

static json_t *guard_json(const struct result *r)
{
    static const char *const names[CORE_GUARD_KIND_COUNT] = {
        [CORE_GUARD_FORCED_CAP] = "forced_cap",
        [CORE_GUARD_FORCED_OVERTAKE] = "forced_overtake",
        [CORE_GUARD_FORCED_AGE] = "forced_age",
        [CORE_GUARD_DRAIN_CUT] = "drain_cut",
        [CORE_GUARD_CLAMPED] = "clamped",
        [CORE_GUARD_STALE] = "stale",
        [CORE_GUARD_LATE] = "late",
        [CORE_GUARD_CAPPED] = "capped",
        [CORE_GUARD_ASK_LIMIT] = "ask_limit",
        [CORE_GUARD_FAULT] = "fault",
        [CORE_GUARD_SECONDARY] = "secondary",
    };
    json_t *kinds = json_object();
    for (uint32_t i = 0; i < CORE_GUARD_KIND_COUNT; i++) {
        kinds = put(kinds, names[i], integer(r->guard[i]));
    }
    json_t *settings = r->guarded ? settings_json(&r->guard_values) : json_null();
    json_t *o = put(json_object(), "settings", settings);
    o = put(o, "interventions", kinds);
    return put(o, "forced_share", real(r->forced_share));
}

static json_t *requests_json(const struct result_requests *requests)
{
    json_t *o = put(json_object(), "offered", integer(requests->offered));
    o = put(o, "completed", integer(requests->completed));
    o = put(o, "rejected", integer(requests->rejected));
    o = put(o, "cancelled", integer(requests->cancelled));
    o = put(o, "expired", integer(requests->expired));
    o = put(o, "failed", integer(requests->failed));
    o = put(o, "cut", integer(requests->cut));
    o = put(o, "backlog_at_last_arrival", integer(requests->backlog_at_last_arrival));
    o = put(o, "unmapped", integer(requests->unmapped));
    return put(o, "warmup", integer(requests->warmup));
}

static json_t *load_json(const struct result *r)
{
    json_t *o = put(json_object(), "value", real(r->load));
    o = put(o, "definition",
            json_string(r->load_request_weighted ? "request_weighted" : "work_over_span"));
    return put(o, "switch_free", real(r->switch_free_load));
}

static json_t *models_json(const struct result *r)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < r->model_count; i++) {
        const struct result_model *model = &r->models[i];
        json_t *o = put(json_object(), "name", text(model->name));
        o = put(o, "completed", integer(model->completed));
        o = put(o, "wait_s", stat_json(&model->wait));
        o = put(o, "queue_mean", real(model->queue_mean));
        o = put(o, "in_service_mean", real(model->in_service_mean));
        o = put(o, "visits", integer(model->visits));
        o = put(o, "gap_max_s", real(model->gap_max_s));
        o = put(o, "gap_bound_s", real(model->gap_bound_s));
        if (!o || json_array_append_new(list, o)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *classes_json(const struct result *r)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < r->class_count; i++) {
        const struct result_class *class = &r->classes[i];
        json_t *o = put(json_object(), "name", text(class->name));
        o = put(o, "completed", integer(class->completed));
        o = put(o, "wait_s", stat_json(&class->wait));
        o = put(o, "ttft_s", stat_json(&class->ttft));
        if (!o || json_array_append_new(list, o)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *blocks_json(const struct result *r)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list && i < r->block_count; i++) {
        const struct result_block *block = &r->blocks[i];
        json_t *o = put(json_object(), "arrivals", integer(block->arrivals));
        o = put(o, "measured", integer(block->measured));
        o = put(o, "from_s", real(block->from_s));
        o = put(o, "wait_s", real(block->wait_mean_s));
        o = put(o, "wait_p99_s", real(block->wait_p99_s));
        o = put(o, "work_per_s", real(block->work_per_s));
        if (!o || json_array_append_new(list, o)) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *bounds_json(const struct result *r)
{
    const struct {
        const char *name;
        const struct result_bound *bound;
    } all[] = {{"gap_bound_s", &r->gap_bound},
               {"wait_bound_s", &r->wait_bound},
               {"lb_work_wait_s", &r->lb_work},
               {"lb_lagrange_wait_s", &r->lb_lagrange},
               {"lb_static_wait_s", &r->lb_static}};
    json_t *o = json_object(), *reasons = json_object();
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        o = put(o, all[i].name, real(all[i].bound->value_s));
        if (!isfinite(all[i].bound->value_s)) {
            const char *reason = all[i].bound->reason;
            reasons = put(reasons, all[i].name, json_string(reason ? reason : "unknown"));
        }
    }
    return put(o, "reasons", reasons);
}

/* A 128-bit number of nanoseconds, as text: it may not fit a JSON reader's integers. */
static json_t *wide_json(uint64_t high, uint64_t low)
{
    char digits[WIDE_DIGITS + 1];
    char *at = &digits[WIDE_DIGITS];
    uwide value = (uwide)high << 64 | low;
    *at = '\0';
    do {
        *--at = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value > 0);
    return json_string(at);
}

static json_t *exact_json(const struct result_exact *exact)
{
    static const char *const names[SHUNT_DEVICE_STATE_COUNT] = {
        [SHUNT_DEVICE_IDLE] = "idle",           [SHUNT_DEVICE_SERVING] = "serving",
        [SHUNT_DEVICE_DRAINING] = "draining",   [SHUNT_DEVICE_SWITCHING] = "switching",
        [SHUNT_DEVICE_LINGERING] = "lingering",
    };
    json_t *states = json_object();
    for (uint32_t i = 0; i < SHUNT_DEVICE_STATE_COUNT; i++) {
        states = put(states, names[i], json_integer(exact->state_ns[i]));
    }
    json_t *o = put(json_object(), "holds", json_boolean(exact->holds));
    o = put(o, "wait_sum_ns", wide_json(exact->wait_sum_high, exact->wait_sum_low));
    o = put(o, "queue_integral_ns",
            wide_json(exact->queue_integral_high, exact->queue_integral_low));
    o = put(o, "elapsed_ns", json_integer(exact->elapsed_ns));
    return put(o, "state_ns", states);
}

static json_t *quarters_json(const struct result *r)
{
    return json_pack("[o, o, o, o]", real(r->wait_quarter_s[0]), real(r->wait_quarter_s[1]),
                     real(r->wait_quarter_s[2]), real(r->wait_quarter_s[3]));
}

static json_t *all_json(const struct result *r)
{
    json_t *o = put(json_object(), "wait_s", stat_json(&r->wait_all));
    o = put(o, "time", time_json(&r->time_all));
    return put(o, "exact", exact_json(&r->exact));
}

static json_t *switches_json(const struct result *r)
{
    json_t *o = put(json_object(), "count", integer(r->switches));
    o = put(o, "per_request", real(r->switches_per_request));
    return put(o, "failed", integer(r->switches_failed));
}

json_t *result_json(const struct result *r, const struct result_context *context)
{
    double events_per_s = context->wall_s > 0 ? (double)r->events / context->wall_s : (double)NAN;
    json_t *o = put(json_object(), "schema", json_integer(SCHEMA));
    o = put(o, "scenario", text(r->scenario->name));
    o = put(o, "label", text(scenario_label_name(r->scenario->label)));
    o = put(o, "command", text(context->command));
    o = put(o, "shunt_version", text(context->version));
    o = put(o, "sha256", sha256_json(r, context));
    o = put(o, "policy", policy_json(context));
    o = put(o, "seed", integer(r->seed));
    o = put(o, "guarded", json_boolean(r->guarded));
    o = put(o, "guard", guard_json(r));
    o = put(o, "requests", requests_json(&r->requests));
    o = put(o, "load", load_json(r));
    o = put(o, "cost_profile", text(r->scenario->cost_profile));
    o = put(o, "stretch", real(r->stretch));
    o = put(o, "time", time_json(&r->time));
    o = put(o, "switches", switches_json(r));
    o = put(o, "wait_s", stat_json(&r->wait));
    o = put(o, "wait_to_switch_start_s", stat_json(&r->wait_to_switch_start));
    o = put(o, "ttft_s", stat_json(&r->ttft));
    o = put(o, "response_s", stat_json(&r->response));
    o = put(o, "wait_cap_s", real(r->wait_cap_s));
    o = put(o, "wait_quarter_s", quarters_json(r));
    o = put(o, "models", models_json(r));
    o = put(o, "classes", classes_json(r));
    o = put(o, "bounds", bounds_json(r));
    o = put(o, "work_at_nonserving_s", real(r->work_at_nonserving_s));
    o = put(o, "jain", real(r->jain));
    o = put(o, "overloaded", json_boolean(r->overloaded));
    o = put(o, "all", all_json(r));
    o = put(o, "events", integer(r->events));
    o = put(o, "events_per_s", real(events_per_s));
    return r->blocks ? put(o, "blocks", blocks_json(r)) : o;
}
