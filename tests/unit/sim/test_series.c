/*
 * What a report draws, against the figures of the same run: the same integrals, shares and
 * quantiles, however they were binned; and a journal of a run, against the run that is made of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/journal.h"
#include "base/record.h"
#include "sim/journal_in.h"
#include "sim/journal_out.h"
#include "sim/series.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENGINES                                                                                    \
    "devices: [{name: gpu0, memory_gib: 80}]\n"                                                    \
    "models:\n"                                                                                    \
    "  - {name: conv, memory_gib: 50, max_concurrency: 8, service: {kind: serial}}\n"              \
    "  - {name: img, memory_gib: 40, max_concurrency: 1, service: {kind: serial}}\n"               \
    "  - {name: code, memory_gib: 60, max_concurrency: 4, service: {kind: serial}}\n"              \
    "switch:\n"                                                                                    \
    "  per_model: {conv: {sleep_s: 1, wake_s: 4}, img: {sleep_s: .5, wake_s: 3,\n"                 \
    "    probe_s: .2}, code: {sleep_s: 2, wake_s: 6}}\n"

#define SOURCES                                                                                    \
    "arrivals:\n"                                                                                  \
    "  - {kind: poisson, model: conv, rate_per_s: 0.3,\n"                                          \
    "     service_s: {dist: exponential, mean: 6}}\n"                                              \
    "  - {kind: poisson, model: img, rate_per_s: 0.03,\n"                                          \
    "     service_s: {dist: exponential, mean: 5}}\n"                                              \
    "  - {kind: poisson, model: code, rate_per_s: 0.1,\n"                                          \
    "     service_s: {dist: exponential, mean: 4}}\n"

/* Few enough that everything is served. */
#define LIGHT                                                                                      \
    "arrivals:\n"                                                                                  \
    "  - {kind: poisson, model: conv, rate_per_s: 0.04, service_s: {dist: exponential, mean: "     \
    "6}}\n"                                                                                        \
    "  - {kind: poisson, model: img, rate_per_s: 0.01, service_s: {dist: exponential, mean: 5}}\n" \
    "  - {kind: poisson, model: code, rate_per_s: 0.01, service_s: {dist: exponential, mean: "     \
    "4}}\n"

#define NO_WARMUP "warmup: {arrivals_fraction: 0, visits: 0}\n"

static struct scenario *scenario_of(const char *text)
{
    struct scenario *scenario = NULL;
    char err[SCENARIO_ERROR_MAX] = "";
    if (scenario_parse(text, strlen(text), "test.yaml", NULL, &scenario, err, sizeof(err))) {
        fail_msg("%s", err);
    }
    return scenario;
}

/* Runs under the built-in policy with observers; *ret_end_ns is when it ended. */
static void run(const struct scenario *scenario, const struct sim_observer *observers,
                uint32_t count, struct result *ret_result, struct sim **ret_sim)
{
    char err[SIM_ERROR_MAX] = "";
    const struct sim_options options = {.scenario = scenario,
                                        .seed = 7,
                                        .observers = observers,
                                        .observer_count = count,
                                        .checked = false};
    if (sim_create(&options, ret_sim, err, sizeof(err)) || sim_run(*ret_sim, err, sizeof(err))) {
        fail_msg("%s", err);
    }
    assert_int_equal(sim_result(*ret_sim, ret_result), 0);
}

static double real_at(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* Mean over the run of a list of one entry a bin, the last of them cut by the end. */
static double mean_of(const json_t *list, double end_s, double bin_s)
{
    double sum = 0.0;
    size_t index;
    const json_t *value;
    json_array_foreach((json_t *)(uintptr_t)list, index, value)
    {
        double left_s = end_s - (double)index * bin_s;
        sum += json_number_value(value) * (left_s < bin_s ? left_s : bin_s);
    }
    return sum / end_s;
}

static void check_states(const json_t *series, const struct result *result)
{
    double end_s = real_at(series, "end_s"), bin_s = real_at(series, "bin_s");
    const json_t *states = json_array_get(json_object_get(series, "states"), 0);
    const struct {
        const char *name;
        double share;
    } shares[] = {{"serving", result->time_all.serving_frac},
                  {"draining", result->time_all.draining_frac},
                  {"switching", result->time_all.switching_frac},
                  {"lingering", result->time_all.lingering_frac},
                  {"idle", result->time_all.idle_frac}};
    for (size_t i = 0; i < 5; i++) {
        double got = mean_of(json_object_get(states, shares[i].name), end_s, bin_s) / 1000.0;
        assert_true(fabs(got - shares[i].share) < 0.0006); /* thousandths, rounded */
    }
}

/* The integral of all queues is the sum of all waits, to the rounding of the bins. */
static void check_queues(const json_t *series, const struct result *result)
{
    double end_s = real_at(series, "end_s"), bin_s = real_at(series, "bin_s"), sum = 0.0;
    size_t index;
    const json_t *queue;
    json_array_foreach(json_object_get(series, "queue"), index, queue)
    {
        const json_t *mean = json_object_get(queue, "mean"), *max = json_object_get(queue, "max");
        sum += mean_of(mean, end_s, bin_s) * end_s;
        for (size_t bin = 0; bin < json_array_size(mean); bin++) {
            assert_true(json_number_value(json_array_get(max, bin)) + 0.001 >=
                        json_number_value(json_array_get(mean, bin)));
        }
    }
    double all_s = ldexp((double)result->exact.queue_integral_high, 64) / 1e9 +
                   (double)result->exact.queue_integral_low / 1e9;
    assert_true(fabs(sum - all_s) < 0.0006 * 3 * end_s + 1e-9 * all_s);
}

static void check_waits(const json_t *series, const struct result *result)
{
    const json_t *levels = json_object_get(series, "quantiles");
    const json_t *all = json_object_get(series, "wait_all");
    const json_t *values = json_object_get(all, "s");
    size_t count = json_array_size(levels), ninety = 0;
    assert_int_equal(json_array_size(values), count);
    assert_int_equal((uint64_t)json_integer_value(json_object_get(all, "count")),
                     result->wait.count);
    for (size_t i = 1; i < count; i++) {
        assert_true(json_number_value(json_array_get(levels, i)) >
                    json_number_value(json_array_get(levels, i - 1)));
        assert_true(json_number_value(json_array_get(values, i)) >=
                    json_number_value(json_array_get(values, i - 1)));
        ninety = fabs(json_number_value(json_array_get(levels, i)) - 0.5) < 1e-9 ? i : ninety;
    }
    assert_true(json_number_value(json_array_get(levels, 0)) == 0.0);
    assert_true(json_number_value(json_array_get(levels, count - 1)) == 1.0);
    assert_true(fabs(json_number_value(json_array_get(values, count - 1)) - result->wait.max_s) <
                1e-9);
    double median = json_number_value(json_array_get(values, ninety));
    assert_true(fabs(median - result->wait.p50_s) <= 0.02 * result->wait.p50_s);
}

/* Segments of an instance do not overlap and fill what the bins say of it. */
static void check_segments(const json_t *series, bool complete)
{
    double end_s = real_at(series, "end_s"), bin_s = real_at(series, "bin_s");
    const json_t *segments = json_object_get(series, "segments");
    double last[3] = {0}, resident[3] = {0}, exact_s = real_at(series, "segments_end_s");
    size_t index;
    const json_t *segment;
    assert_true(json_array_size(segments) <= SERIES_SEGMENTS);
    json_array_foreach((json_t *)(uintptr_t)segments, index, segment)
    {
        size_t instance = (size_t)json_integer_value(json_array_get(segment, 0));
        json_int_t phase = json_integer_value(json_array_get(segment, 1));
        double from = json_number_value(json_array_get(segment, 2));
        double to = json_number_value(json_array_get(segment, 3));
        assert_true(instance < 3 && phase >= SERIES_RESIDENT && phase <= SERIES_LEAVING);
        assert_true(from >= last[instance] && from < to && to <= exact_s);
        last[instance] = to;
        resident[instance] += phase <= SERIES_DRAINING ? to - from : 0.0;
    }
    assert_int_equal(exact_s == end_s, complete);
    for (size_t i = 0; complete && i < 3; i++) {
        double share =
            mean_of(json_array_get(json_object_get(series, "resident"), i), end_s, bin_s) / 1000.0;
        assert_true(fabs(resident[i] / end_s - share) < 0.0006);
    }
}

static void check_run(const char *text, bool complete)
{
    struct scenario *scenario = scenario_of(text);
    struct series *series = NULL;
    struct result result;
    struct sim *sim = NULL;
    assert_int_equal(series_of_scenario(scenario, &series), 0);
    const struct sim_observer observer = series_observer(series);
    run(scenario, &observer, 1, &result, &sim);
    json_t *json = series_json(series, sim_core(sim), sim_now_ns(sim));
    assert_non_null(json);
    assert_true(json_array_size(json_object_get(json_array_get(json_object_get(json, "queue"), 0),
                                                "mean")) <= SERIES_BINS);
    check_states(json, &result);
    check_queues(json, &result);
    check_waits(json, &result);
    check_segments(json, complete);
    json_decref(json);
    result_fini(&result);
    sim_destroy(sim);
    series_destroy(series);
    scenario_free(scenario);
}

static void series_agree_with_the_figures(void **state)
{
    (void)state;
    check_run(ENGINES SOURCES "requests: 2000\n", true);
}

static void a_long_run_is_binned(void **state)
{
    (void)state;
    check_run(ENGINES SOURCES "requests: 60000\n", false);
}

static void requests_that_leave_are_counted_at_the_cap(void **state)
{
    (void)state;
    check_run(ENGINES SOURCES "requests: 3000\n"
                              "limits: {max_wait_s: 60, patience: {dist: exponential, mean: 40},\n"
                              "  queue_per_model: 5, wait_cap_s: 500}\n",
              true);
}

/* ------------------------------------------------------------------ journals */

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/shunt-series-XXXXXX");
    return mkdtemp(folder) && mkdir(in_folder("made"), 0777) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command); /* banned: allowed, a test of its own folder */
}

static void write_journal(const struct scenario *scenario, struct result *ret_result)
{
    struct journal_out *out = NULL;
    struct sim *sim = NULL;
    char err[256] = "";
    assert_int_equal(journal_out_create(in_folder("journal"), scenario, &out, err, sizeof(err)), 0);
    const struct sim_observer observer = journal_out_observer(out);
    run(scenario, &observer, 1, ret_result, &sim);
    assert_int_equal(journal_out_close(out, sim_now_ns(sim), err, sizeof(err)), 0);
    sim_destroy(sim);
}

/* Replays the journal without any policy; its inputs must lead to the same actions. */
static uint64_t replay_journal(void)
{
    struct journal_reader *reader = NULL;
    struct journal_item item;
    struct core *core = NULL;
    void *memory = NULL;
    uint64_t hash = 0, inputs = 0;
    assert_int_equal(journal_reader_open(&reader, in_folder("journal")), 0);
    while (journal_reader_next(reader, &item) > 0) {
        struct record_keyframe keyframe;
        struct record_input input;
        struct core_action action;
        assert_false(journal_item_is_gap(item.kind));
        if (item.kind == JOURNAL_ITEM_SEGMENT) {
            continue;
        }
        if (item.record.type == JOURNAL_KEYFRAME) {
            assert_null(core);
            assert_int_equal(
                record_keyframe_decode(item.record.payload, item.record.len, &keyframe), 0);
            assert_int_equal(record_core_load(&keyframe, &memory, &core), 0);
        } else if (item.record.type == JOURNAL_INPUT) {
            assert_non_null(core);
            assert_int_equal(record_input_decode(item.record.payload, item.record.len, &input), 0);
            assert_true(input.hash == hash);
            (void)core_apply(core, &input.input);
            while (core_next(core, &action)) {
                hash = record_hash(hash, &action);
            }
            inputs++;
        }
    }
    journal_reader_close(reader);
    free(memory);
    return inputs;
}

static void a_journal_becomes_the_same_run(void **state)
{
    (void)state;
    struct scenario *scenario = scenario_of(ENGINES LIGHT NO_WARMUP "requests: 3000\n");
    struct scenario *made = NULL;
    struct result before, after;
    struct journal_in_summary summary;
    struct sim *sim = NULL;
    char err[SCENARIO_ERROR_MAX] = "";
    write_journal(scenario, &before);
    assert_true(replay_journal() > 3000);
    assert_int_equal(
        journal_in_convert(in_folder("journal"), in_folder("made"), &summary, err, sizeof(err)), 0);
    assert_int_equal(summary.requests, 3000);
    assert_int_equal(summary.unserved, 0);
    assert_int_equal(summary.gaps, 0);
    assert_true(summary.switches > 100);
    assert_string_equal(summary.unmeasured, "");
    if (scenario_load(in_folder("made/scenario.yaml"), NULL, &made, err, sizeof(err))) {
        fail_msg("%s", err);
    }
    assert_string_equal(scenario_model_name(made, 1), "img");
    run(made, NULL, 0, &after, &sim);
    /* Same arrivals, times and policy: the same run, but that it begins with the first arrival. */
    assert_int_equal(after.requests.completed, before.requests.completed);
    assert_int_equal(after.wait_all.count, before.wait_all.count);
    assert_true(fabs(after.wait_all.mean_s - before.wait_all.mean_s) < 1e-6);
    assert_true(fabs(after.wait_all.max_s - before.wait_all.max_s) < 1e-6);
    for (uint32_t m = 0; m < 3; m++) {
        assert_int_equal(after.models[m].visits, before.models[m].visits);
    }
    result_fini(&before);
    result_fini(&after);
    sim_destroy(sim);
    scenario_free(made);
    scenario_free(scenario);
}

static void a_journal_that_is_cut_off_says_so(void **state)
{
    (void)state;
    struct scenario *scenario = scenario_of(ENGINES LIGHT "requests: 500\n");
    struct journal_in_summary summary;
    struct result result;
    struct stat file;
    char err[512] = "";
    write_journal(scenario, &result);
    const char *path = in_folder("journal/00000001.journal");
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(truncate(path, file.st_size / 2), 0);
    assert_int_equal(
        journal_in_convert(in_folder("journal"), in_folder("made"), &summary, err, sizeof(err)), 0);
    assert_true(summary.requests > 100 && summary.requests < 400);
    assert_true(summary.gaps > 0);
    assert_non_null(strstr(summary.first_gap, "segment 1"));
    result_fini(&result);
    scenario_free(scenario);
}

static void what_is_no_journal_is_refused(void **state)
{
    (void)state;
    struct journal_in_summary summary;
    char err[512] = "";
    assert_true(
        journal_in_convert(in_folder("none"), in_folder("made"), &summary, err, sizeof(err)) < 0);
    assert_non_null(strstr(err, "none"));
    assert_true(
        journal_in_convert(in_folder("made"), in_folder("made"), &summary, err, sizeof(err)) < 0);
    assert_true(err[0] != '\0');
}

static void a_journal_is_not_mixed_with_another(void **state)
{
    (void)state;
    struct scenario *scenario = scenario_of(ENGINES SOURCES "requests: 10\n");
    struct journal_out *out = NULL;
    struct result result;
    char err[256] = "";
    write_journal(scenario, &result);
    assert_int_equal(journal_out_create(in_folder("journal"), scenario, &out, err, sizeof(err)),
                     -EEXIST);
    assert_non_null(strstr(err, "another folder"));
    result_fini(&result);
    scenario_free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_agree_with_the_figures),
        cmocka_unit_test(a_long_run_is_binned),
        cmocka_unit_test(requests_that_leave_are_counted_at_the_cap),
        cmocka_unit_test_setup_teardown(a_journal_becomes_the_same_run, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_journal_that_is_cut_off_says_so, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(what_is_no_journal_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_journal_is_not_mixed_with_another, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
