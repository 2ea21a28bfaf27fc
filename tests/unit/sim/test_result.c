/*
 * Results as JSON and as a table: every promised name is there, what is unknown is null with a
 * reason, and whatever a name holds cannot disturb the table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/result.h"
#include "sim/scenario.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct scenario scenario = {
    .name = "a2", .label = SCENARIO_REAL, .cost_profile = "RAM", .hash = {0xde, 0xad, [31] = 0x01}};

static struct result_stat stat_of(double mean_s)
{
    return (struct result_stat){.count = 5000,
                                .mean_s = mean_s,
                                .se_s = mean_s / 50,
                                .batches = 39,
                                .lag1 = 0.01,
                                .p50_s = mean_s / 2,
                                .p95_s = 3 * mean_s,
                                .p99_s = 4 * mean_s,
                                .max_s = 9 * mean_s};
}

static const struct result_stat unknown_stat = {.mean_s = (double)NAN,
                                                .se_s = (double)NAN,
                                                .lag1 = (double)NAN,
                                                .p50_s = (double)NAN,
                                                .p95_s = (double)NAN,
                                                .p99_s = (double)NAN,
                                                .max_s = (double)NAN};

static struct result_model models[2];
static struct result_class classes[1];

static struct result make_result(uint64_t seed, double wait_s)
{
    models[0] = (struct result_model){
        .name = "conv", .completed = 3000, .wait = stat_of(wait_s), .gap_bound_s = 900};
    models[1] = (struct result_model){
        .name = "img\n\x1b[31m", .wait = stat_of(2 * wait_s), .gap_bound_s = (double)NAN};
    classes[0] =
        (struct result_class){.name = "standard", .wait = stat_of(wait_s), .ttft = unknown_stat};
    struct result r = {.scenario = &scenario,
                       .seed = seed,
                       .guarded = true,
                       .load = 0.6,
                       .switch_free_load = 0.7,
                       .stretch = (double)NAN,
                       .time = {.span_s = 1000, .serving_frac = 0.5, .tokens_per_s = (double)NAN},
                       .wait = stat_of(wait_s),
                       .wait_to_switch_start = stat_of(wait_s),
                       .ttft = unknown_stat,
                       .response = stat_of(wait_s + 1),
                       .wait_all = stat_of(wait_s),
                       .models = models,
                       .model_count = 2,
                       .classes = classes,
                       .class_count = 1,
                       .gap_bound = {.value_s = 900},
                       .wait_bound = {.value_s = (double)NAN, .reason = "no limit of the queue"},
                       .lb_work = {.value_s = wait_s / 2},
                       .lb_lagrange = {.value_s = wait_s / 4},
                       .lb_static = {.value_s = (double)NAN, .reason = "arrivals are of a trace"},
                       .events = 10000};
    r.requests.offered = 5000;
    r.exact.wait_sum_high = 1; /* 2^64 */
    r.exact.holds = true;
    return r;
}

static json_t *make_json(uint64_t seed, double wait_s, const char *policy)
{
    const struct result r = make_result(seed, wait_s);
    const struct result_context context = {.command = "sim a2.yaml",
                                           .version = "0.1.0",
                                           .policy = policy,
                                           .policy_name = policy,
                                           .policy_version = "1.0.0",
                                           .policy_hash = "00",
                                           .policy_sha256 = "11",
                                           .wall_s = 0.5};
    json_t *json = result_json(&r, &context);
    assert_non_null(json);
    return json;
}

/* ------------------------------------------------------------------ JSON */

/* "a.b.c", 0 in place of an index of a list. */
static const json_t *find(const json_t *json, const char *path)
{
    char copy[256], *rest = copy;
    (void)snprintf(copy, sizeof(copy), "%s", path);
    for (char *name; json && (name = strsep(&rest, ".")) != NULL;) {
        json = strcmp(name, "0") == 0 ? json_array_get(json, 0) : json_object_get(json, name);
    }
    return json;
}

#define STAT(name)                                                                                 \
    name ".mean", name ".se", name ".batches", name ".p50", name ".p95", name ".p99", name ".max"

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"scenario",
                                        "label",
                                        "command",
                                        "shunt_version",
                                        "sha256.scenario",
                                        "sha256.traces",
                                        "sha256.policy",
                                        "policy.name",
                                        "policy.version",
                                        "policy.params",
                                        "seed",
                                        "guarded",
                                        "guard.settings.overtakes",
                                        "guard.settings.age_s",
                                        "guard.settings.visit_cap_s",
                                        "guard.settings.drain_s",
                                        "guard.interventions.forced_cap",
                                        "guard.interventions.forced_overtake",
                                        "guard.interventions.forced_age",
                                        "guard.interventions.drain_cut",
                                        "guard.interventions.clamped",
                                        "guard.interventions.stale",
                                        "guard.interventions.late",
                                        "guard.interventions.capped",
                                        "guard.interventions.ask_limit",
                                        "guard.interventions.fault",
                                        "guard.interventions.secondary",
                                        "guard.forced_share",
                                        "requests.offered",
                                        "requests.completed",
                                        "requests.rejected",
                                        "requests.cancelled",
                                        "requests.expired",
                                        "requests.failed",
                                        "requests.cut",
                                        "requests.backlog_at_last_arrival",
                                        "load.value",
                                        "load.definition",
                                        "load.switch_free",
                                        "cost_profile",
                                        "stretch",
                                        "time.span_s",
                                        "time.serving_frac",
                                        "time.draining_frac",
                                        "time.switching_frac",
                                        "time.lingering_frac",
                                        "time.idle_frac",
                                        "time.work_per_s",
                                        "time.mean_batch",
                                        "switches.count",
                                        "switches.per_request",
                                        STAT("wait_s"),
                                        STAT("wait_to_switch_start_s"),
                                        STAT("ttft_s"),
                                        STAT("response_s"),
                                        "models.0.name",
                                        "models.0.completed",
                                        STAT("models.0.wait_s"),
                                        "models.0.queue_mean",
                                        "models.0.in_service_mean",
                                        "models.0.visits",
                                        "models.0.gap_max_s",
                                        "classes.0.name",
                                        "classes.0.completed",
                                        STAT("classes.0.wait_s"),
                                        STAT("classes.0.ttft_s"),
                                        "bounds.gap_bound_s",
                                        "bounds.wait_bound_s",
                                        "bounds.lb_work_wait_s",
                                        "bounds.lb_lagrange_wait_s",
                                        "bounds.lb_static_wait_s",
                                        "work_at_nonserving_s",
                                        "jain",
                                        "overloaded",
                                        "events",
                                        "events_per_s",
                                        "all.wait_s.mean",
                                        "all.time.serving_frac",
                                        "all.exact.holds",
                                        "all.exact.wait_sum_ns",
                                        "all.exact.queue_integral_ns",
                                        "all.exact.elapsed_ns",
                                        "all.exact.state_ns.serving"};
    json_t *json = make_json(3, 10, "fifo");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!find(json, names[i])) {
            fail_msg("no member %s", names[i]);
        }
    }
    json_decref(json);
}

static void test_values(void **state)
{
    (void)state;
    json_t *json = make_json(3, 10, "fifo");
    assert_int_equal(json_integer_value(find(json, "seed")), 3);
    assert_true(json_real_value(find(json, "wait_s.mean")) == 10);
    assert_true(json_real_value(find(json, "wait_s.p95")) == 30);
    assert_true(json_real_value(find(json, "load.value")) == 0.6);
    assert_string_equal(json_string_value(find(json, "load.definition")), "work_over_span");
    assert_true(json_real_value(find(json, "events_per_s")) == 20000);
    assert_string_equal(json_string_value(find(json, "all.exact.wait_sum_ns")),
                        "18446744073709551616");
    assert_string_equal(json_string_value(find(json, "sha256.scenario")),
                        "dead000000000000000000000000000000000000000000000000000000000001");
    /* Unknown is null; a bound that is null has a reason, one that holds has none. */
    assert_true(json_is_null(find(json, "stretch")));
    assert_true(json_is_null(find(json, "ttft_s.mean")));
    assert_true(json_is_null(find(json, "bounds.wait_bound_s")));
    assert_string_equal(json_string_value(find(json, "bounds.reasons.wait_bound_s")),
                        "no limit of the queue");
    assert_null(find(json, "bounds.reasons.gap_bound_s"));
    assert_int_equal(json_object_size(find(json, "bounds.reasons")), 2);
    json_decref(json);
}

/* No NaN or infinity reaches a file, and reading it back gives the same. */
static void test_round_trip(void **state)
{
    (void)state;
    json_t *json = make_json(3, 1.0 / 3, "fifo");
    char *text = json_dumps(json, JSON_COMPACT);
    json_t *again = json_loads(text, 0, NULL);
    assert_non_null(again);
    assert_true(json_equal(json, again));
    assert_null(strstr(text, "nan"));
    free(text);
    json_decref(json);
    json_decref(again);
}

static void test_unguarded(void **state)
{
    (void)state;
    struct result r = make_result(1, 5);
    r.guarded = false;
    const struct result_context context = {.wall_s = (double)NAN};
    json_t *json = result_json(&r, &context);
    assert_true(json_is_false(find(json, "guarded")));
    assert_true(json_is_null(find(json, "guard.settings")));
    assert_true(json_is_null(find(json, "events_per_s")));
    assert_true(json_is_null(find(json, "policy.name")));
    json_decref(json);
}

/* ------------------------------------------------------------------ the table */

static char *print(json_t *results)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    result_print(out, results);
    (void)fclose(out);
    json_decref(results);
    return text;
}

static void test_table(void **state)
{
    (void)state;
    json_t *results = json_array();
    for (uint64_t seed = 1; seed <= 3; seed++) {
        json_array_append_new(results, make_json(seed, 10 + (double)seed, "amortized"));
    }
    json_array_append_new(results, make_json(1, 40, "fifo"));
    json_t *last = json_array_get(results, 3);
    json_object_set_new(last, "overloaded", json_true());
    char *text = print(results);
    /* Mean of 11, 12, 13 with 4.303 * 1 / sqrt(3); of one seed 2.04 * 40 / 50. */
    assert_non_null(strstr(text, "12.00 ±2.48"));
    assert_non_null(strstr(text, "40.00 ±1.63"));
    assert_non_null(strstr(text, "seeds 1 to 3"));
    assert_non_null(strstr(text, "a2  real  load 0.600 (work / span)"));
    assert_non_null(strstr(text, "costs RAM  guard on"));
    assert_non_null(strstr(text, "OVERLOADED"));
    assert_null(strchr(text, '\x1b'));
    assert_null(strstr(text, "nan"));
    free(text);
}

/* 30 less 11, 30 less 12, 31 less 13 with 4.303 * 0.577 / sqrt(3). */
static void test_paired(void **state)
{
    (void)state;
    static const double other[] = {30, 30, 31};
    json_t *results = json_array();
    for (uint64_t seed = 1; seed <= 3; seed++) {
        json_array_append_new(results, make_json(seed, 10 + (double)seed, "fifo"));
    }
    for (uint64_t seed = 1; seed <= 3; seed++) {
        json_array_append_new(results, make_json(seed, other[seed - 1], "other"));
    }
    char *text = print(results);
    assert_non_null(strstr(text, "+18.33 ±1.43"));
    free(text);
}

static void test_many_policies(void **state)
{
    (void)state;
    json_t *results = json_array();
    for (int i = 0; i < 14; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "p%02d:with_a_very_long_parameter_name=%d", i, i);
        json_array_append_new(results, make_json(1, 10, name));
    }
    char *text = print(results), *line = text;
    for (int i = 0; i < 14; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "p%02d:", i);
        assert_non_null(strstr(text, name));
    }
    for (char *next; *line; line = next) {
        next = strchr(line, '\n') + 1;
        assert_true(next - line < 200);
    }
    free(text);
}

static void test_nothing(void **state)
{
    (void)state;
    char *text = print(json_array());
    assert_string_equal(text, "");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_values),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_unguarded),
        cmocka_unit_test(test_table),      cmocka_unit_test(test_many_policies),
        cmocka_unit_test(test_paired),     cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
