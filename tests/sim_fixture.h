/*
 * Small simulations for tests: a scenario from YAML text, a policy by path, one run, its result,
 * and a digest of everything that the core did. Include it in a cmocka test.
 */
#ifndef TESTS_SIM_FIXTURE_H
#define TESTS_SIM_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/plugin.h"
#include "sim/sim.h"

#define SIM_POLICIES SHUNT_BUILD_DIR "/lib/shunt/policies/"
#define SIM_TESTERS  SHUNT_BUILD_DIR "/tests/policies/"

static inline const struct plugin *sim_plugin(const char *path)
{
    static struct plugin_registry *registry;
    char err[512] = "";
    const struct plugin *plugin = NULL;
    if (!registry) {
        assert_int_equal(plugin_registry_create(NULL, &registry), 0);
    }
    if (plugin_load(registry, path, &plugin, err, sizeof err) != 0) {
        fail_msg("%s", err);
    }
    return plugin;
}

static inline struct scenario *sim_scenario_of(const char *text)
{
    struct scenario *scenario = NULL;
    char err[SCENARIO_ERROR_MAX] = "";
    if (scenario_parse(text, strlen(text), "test.yaml", NULL, &scenario, err, sizeof err) != 0) {
        fail_msg("%s", err);
    }
    return scenario;
}

/* FNV-1a over what counts of every action, and counts of some. */
struct sim_digest {
    uint64_t hash, actions, switches, switches_failed, dispatches;
    uint64_t arrivals_hash; /* of number, time and work of what was offered */
};

static inline void sim_digest_bytes(uint64_t *hash, const void *bytes, size_t size)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < size; i++) {
        *hash = (*hash ^ b[i]) * UINT64_C(0x100000001b3);
    }
}

static inline void sim_digest_action(void *ctx, struct sim *sim, const struct core_action *action,
                                     const struct sim_request *request)
{
    struct sim_digest *digest = ctx;
    (void)sim;
    sim_digest_bytes(&digest->hash, action, core_action_size(action));
    digest->actions++;
    digest->dispatches += action->kind == (uint32_t)CORE_ACT_DISPATCH;
    if (action->kind == (uint32_t)CORE_ACT_RECORD &&
        action->u.record.kind == (uint32_t)CORE_REC_SWITCH) {
        digest->switches++;
        digest->switches_failed += !action->u.record.u.change.ok;
    }
    if (request &&
        (action->kind == (uint32_t)CORE_ACT_ACCEPT || action->kind == (uint32_t)CORE_ACT_REJECT)) {
        const int64_t facts[] = {(int64_t)request->number, request->arrival_ns,
                                 request->service_ns,      request->input_tokens,
                                 request->output_tokens,   request->model};
        sim_digest_bytes(&digest->arrivals_hash, facts, sizeof facts);
    }
}

struct sim_run_of {
    const struct scenario *scenario;
    struct sim_policy policy;
    uint64_t seed;
    const struct sim_change *changes;
    uint32_t change_count;
    bool unchecked;
    struct sim_digest digest;
    int64_t end_ns;
    struct result result;
    char err[SIM_ERROR_MAX];
};

/* The error of the run; on 0 the result is to be given to result_fini. */
static inline int sim_run_it(struct sim_run_of *run)
{
    run->digest = (struct sim_digest){.hash = 1, .arrivals_hash = 1};
    const struct sim_observer observer = {.ctx = &run->digest, .action = sim_digest_action};
    const struct sim_options options = {.scenario = run->scenario,
                                        .policy = run->policy,
                                        .seed = run->seed,
                                        .changes = run->changes,
                                        .change_count = run->change_count,
                                        .observers = &observer,
                                        .observer_count = 1,
                                        .checked = !run->unchecked};
    struct sim *sim = NULL;
    int rc = sim_create(&options, &sim, run->err, sizeof run->err);
    if (rc == 0) {
        rc = sim_run(sim, run->err, sizeof run->err);
        run->end_ns = sim_now_ns(sim);
    }
    if (rc == 0) {
        assert_int_equal(sim_result(sim, &run->result), 0);
        assert_true(run->result.exact.holds);
    }
    sim_destroy(sim);
    return rc;
}

/* The same, where it has to end well. */
static inline void sim_run_well(struct sim_run_of *run)
{
    if (sim_run_it(run) != 0) {
        fail_msg("%s", run->err);
    }
}

#endif
