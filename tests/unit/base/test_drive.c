/*
 * Core, drive and policies together, with a small fake engine: everything accepted ends, whatever
 * the policy answers; the reported inputs replay the run without any policy; a policy that cannot
 * cope with the models is taken out of its slot.
 */
#include "base/drive.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND     CORE_NS_PER_S
#define POLICIES   SHUNT_BUILD_DIR "/tests/policies/"
#define SHIPPED    SHUNT_BUILD_DIR "/lib/shunt/policies/"
#define START_NS   (1000 * SECOND)
#define HORIZON_NS (START_NS + 100000 * SECOND)

enum { MODELS = 3, EVENTS_MAX = 4096, JOURNAL_MAX = 1 << 17 };

struct world {
    struct core *core;
    struct drive *drive;
    struct plugin_registry *registry;
    struct core_input event[EVENTS_MAX]; /* what the fake engine will report, by t_ns */
    size_t events;
    struct core_input *journal;
    uint64_t *hash; /* of the core before journal[i] */
    size_t journaled;
    int64_t now_ns;
    uint64_t accepted, rejected, ended, dispatched, switches, asks, foreign_asks, lost;
    int depth; /* of calls into policies */
};

static const struct core_limits limits = {.models_max = MODELS,
                                          .devices_max = 1,
                                          .instances_max = MODELS,
                                          .slots_max = 2,
                                          .queued_max = 2000,
                                          .in_flight_max = 200};

static struct core *make_core(void)
{
    size_t size = core_size(&limits);
    void *memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
    assert_non_null(memory);
    struct core *core = core_init(memory, size, &limits, 1);
    assert_ptr_equal(core, memory); /* so that free(core) gives the memory back */
    return core;
}

static struct core_config *make_config(void)
{
    static struct core_instance_config instances[MODELS];
    static struct core_model_config models[MODELS];
    static struct core_device_config device;
    static struct core_config config;
    for (uint32_t i = 0; i < MODELS; i++) {
        instances[i] = (struct core_instance_config){
            .device = 0,
            .tiers = 1u << SHUNT_TIER_RESIDENT | 1u << SHUNT_TIER_ASLEEP | 1u << SHUNT_TIER_STOPPED,
            .edges_in = 1u << SHUNT_TIER_ASLEEP | 1u << SHUNT_TIER_STOPPED,
            .device_bytes = {[SHUNT_TIER_RESIDENT] = 60, [SHUNT_TIER_ASLEEP] = 1},
            .host_bytes = {[SHUNT_TIER_ASLEEP] = 60},
            .tier = SHUNT_TIER_ASLEEP,
        };
        models[i] = (struct core_model_config){.key = i + 1,
                                               .max_concurrency = 4,
                                               .queue_max = 500,
                                               .service_limit_ns = 30 * SECOND,
                                               .weight = 1,
                                               .instance_count = 1,
                                               .instances = &instances[i]};
    }
    device = (struct core_device_config){.memory_bytes = 100, .up = 1};
    config = (struct core_config){
        .model_count = MODELS,
        .device_count = 1,
        .models = models,
        .devices = &device,
        .failed_backoff_ns = SECOND,
        .guard = {.enabled = 1,
                  .visit_cap_floor_ns = 120 * SECOND,
                  .switch_limit_ns = 60 * SECOND,
                  .answer_ns = SECOND,
                  .drain_mode = SHUNT_DRAIN_FINISH},
    };
    return &config;
}

static void later(struct world *world, const struct core_input *input)
{
    assert_true(world->events < EVENTS_MAX);
    world->event[world->events++] = *input;
}

static void on_journal(void *ctx, const struct core_input *input)
{
    struct world *world = ctx;
    assert_true(world->journaled < JOURNAL_MAX);
    world->hash[world->journaled] = core_hash(world->core);
    world->journal[world->journaled++] = *input;
}

static void on_call(void *ctx, uint32_t slot, uint32_t what, bool begin)
{
    struct world *world = ctx;
    assert_true(slot < 2 && what <= DRIVE_CALL_DECIDE);
    world->depth += begin ? 1 : -1;
    assert_true(world->depth == begin);
    world->asks += begin && what == DRIVE_CALL_DECIDE;
}

static void on_lost(void *ctx, uint32_t slot, struct policy *policy)
{
    struct world *world = ctx;
    assert_int_equal(slot, 0);
    assert_non_null(policy);
    world->lost++;
    policy_destroy(policy, SHUNT_EXIT_EJECTED, -1, "models_changed failed", world->now_ns);
}

/* The fake engine: service takes 1 to 8 s, a step 0.5 to 2 s, every 13th in step fails. */
static void on_action(void *ctx, const struct core_action *action)
{
    struct world *world = ctx;
    assert_int_equal(world->depth, 0);
    struct core_input input = {.kind = CORE_IN_COMPLETE};
    switch ((enum core_action_kind)action->kind) {
    case CORE_ACT_ACCEPT:
        world->accepted++;
        break;
    case CORE_ACT_REJECT:
        world->rejected++;
        break;
    case CORE_ACT_DISPATCH:
        world->dispatched++;
        input.t_ns = action->t_ns + (int64_t)(1 + action->u.dispatch.cookie % 8) * SECOND;
        input.u.complete.request = action->u.dispatch.request;
        input.u.complete.outcome = SHUNT_OUTCOME_COMPLETED;
        input.u.complete.output_tokens = 10;
        later(world, &input);
        break;
    case CORE_ACT_END:
        world->ended++;
        break;
    case CORE_ACT_STEP: {
        const struct core_act_step *step = &action->u.step;
        bool failed = step->step == (uint32_t)CORE_STEP_IN && ++world->switches % 13 == 0;
        input.kind = CORE_IN_STEP;
        input.t_ns = action->t_ns + (int64_t)(1 + step->instance) * SECOND / 2;
        input.u.step = (struct core_in_step){.switch_id = step->switch_id,
                                             .instance = step->instance,
                                             .step = step->step,
                                             .ok = !failed,
                                             .tier = failed ? step->from_tier : step->to_tier,
                                             .device_bytes = -1,
                                             .retry = 1};
        later(world, &input);
        break;
    }
    case CORE_ACT_RECORD:
        if (action->u.record.kind == (uint32_t)CORE_REC_REQUEST) {
            world->ended++;
        }
        break;
    case CORE_ACT_ASK:
        world->foreign_asks++;
        break;
    case CORE_ACT_ABORT:
    case CORE_ACT_STEP_CANCEL:
    case CORE_ACT_NOTIFY:
    case CORE_ACT_KIND_COUNT:
        break;
    }
}

static const struct drive_ops ops = {
    .journal = on_journal, .action = on_action, .call = on_call, .lost = on_lost};

static void world_init(struct world *world)
{
    memset(world, 0, sizeof *world);
    world->now_ns = START_NS;
    world->core = make_core();
    world->journal = calloc(JOURNAL_MAX, sizeof *world->journal);
    world->hash = calloc(JOURNAL_MAX, sizeof *world->hash);
    assert_true(world->journal && world->hash);
    assert_int_equal(drive_create(world->core, &ops, world, &world->drive), 0);
    assert_int_equal(plugin_registry_create(NULL, &world->registry), 0);
    struct core_config_error error;
    assert_int_equal(drive_configure(world->drive, make_config(), world->now_ns, &error), 0);
}

static void world_fini(struct world *world)
{
    policy_destroy(drive_set_policy(world->drive, 0, NULL), SHUNT_EXIT_SHUTDOWN, 0, "end",
                   world->now_ns);
    drive_destroy(world->drive);
    plugin_registry_destroy(world->registry);
    free(world->core);
    free(world->journal);
    free(world->hash);
}

static void feed(struct world *world, struct core_input *input)
{
    input->t_ns = world->now_ns;
    int rc = drive_input(world->drive, input);
    assert_true(rc == 0 || rc == -ESTALE);
    const char *broken = core_check(world->core);
    if (broken) {
        fail_msg("invariant: %s", broken);
    }
}

static void use_policy(struct world *world, const char *path)
{
    static const char *const names[MODELS] = {"a", "b", "c"};
    const struct plugin *plugin = NULL;
    struct params *params = NULL;
    struct policy *policy = NULL;
    char err[PLUGIN_ERROR_BYTES] = "";
    if (plugin_load(world->registry, path, &plugin, err, sizeof err) != 0) {
        fail_msg("%s", err);
    }
    assert_int_equal(params_create(&plugin->schema, names, MODELS, &params), 0);
    const struct policy_options options = {.plugin = plugin, .seed = 3, .now_ns = world->now_ns};
    assert_int_equal(policy_create(&options, params, &policy, err, sizeof err), 0);
    assert_null(drive_set_policy(world->drive, 0, policy));
    static const uint32_t changes[] = {CORE_SLOT_FILL, CORE_SLOT_SELECT};
    for (size_t i = 0; i < 2; i++) {
        struct core_input input = {.kind = CORE_IN_SLOT};
        input.u.slot = (struct core_in_slot){.slot = 0, .change = changes[i]};
        input.t_ns = world->now_ns;
        int rc = drive_input(world->drive, &input);
        assert_true(rc == 0 || (rc == -EINVAL && world->lost > 0));
    }
}

/* The earliest report of the engine, else the core's own wake-up; false when nothing is left. */
static bool step(struct world *world)
{
    size_t first = 0;
    for (size_t i = 1; i < world->events; i++) {
        first = world->event[i].t_ns < world->event[first].t_ns ? i : first;
    }
    int64_t wake_ns = core_wake_ns(world->core);
    int64_t event_ns = world->events > 0 ? world->event[first].t_ns : CORE_NEVER;
    if (event_ns <= wake_ns && event_ns != CORE_NEVER) {
        struct core_input input = world->event[first];
        memmove(&world->event[first], &world->event[first + 1],
                (world->events - first - 1) * sizeof input);
        world->events--;
        world->now_ns = event_ns > world->now_ns ? event_ns : world->now_ns;
        feed(world, &input);
        return true;
    }
    if (wake_ns > HORIZON_NS) {
        return false;
    }
    world->now_ns = wake_ns > world->now_ns ? wake_ns : world->now_ns;
    (void)drive_settle(world->drive, world->now_ns);
    return true;
}

static void run(struct world *world, uint32_t requests)
{
    uint64_t seed = 99;
    int64_t arrival_ns = world->now_ns;
    for (uint32_t i = 0; i < requests; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        arrival_ns += (int64_t)(seed >> 33) % (2 * SECOND);
        struct core_input input = {.kind = CORE_IN_REQUEST};
        input.u.request.cookie = i;
        input.u.request.model = (uint32_t)(seed >> 45) % MODELS;
        while (true) {
            int64_t next_ns = core_wake_ns(world->core);
            for (size_t k = 0; k < world->events; k++) {
                next_ns = world->event[k].t_ns < next_ns ? world->event[k].t_ns : next_ns;
            }
            if (next_ns > arrival_ns || !step(world)) {
                break;
            }
        }
        world->now_ns = arrival_ns > world->now_ns ? arrival_ns : world->now_ns;
        feed(world, &input);
    }
    for (uint32_t i = 0; world->ended < world->accepted && i < 200000 && step(world); i++) {
    }
}

static void check_policy(const char *path)
{
    static struct world world;
    world_init(&world);
    use_policy(&world, path);
    run(&world, 400);
    if (world.ended != world.accepted) {
        fail_msg("%s: %llu accepted, %llu ended", path, (unsigned long long)world.accepted,
                 (unsigned long long)world.ended);
    }
    assert_int_equal(world.accepted + world.rejected, 400);
    assert_true(world.asks > 10);
    assert_int_equal(world.foreign_asks, 0);

    /* What was reported replays the run: no policy, the same future. */
    struct core *twin = make_core();
    struct core_config_error error;
    struct core_action action;
    assert_int_equal(core_configure(twin, make_config(), START_NS, &error), 0);
    while (core_next(twin, &action)) {
    }
    for (size_t i = 0; i < world.journaled; i++) {
        if (core_hash(twin) != world.hash[i]) {
            fail_msg("%s: input %zu of %zu (kind %u) finds another state", path, i, world.journaled,
                     i > 0 ? world.journal[i - 1].kind : 0);
        }
        (void)core_apply(twin, &world.journal[i]);
        while (core_next(twin, &action)) {
        }
    }
    assert_true(core_hash(twin) == core_hash(world.core));
    free(twin);
    world_fini(&world);
}

static void test_policies(void **state)
{
    (void)state;
    check_policy(SHIPPED "fifo.so");
    check_policy(SHIPPED "amortized.so");
    check_policy(POLICIES "always_stay.so");
    check_policy(POLICIES "always_switch.so");
    check_policy(POLICIES "random_switch.so");
    check_policy(POLICIES "garbage_answers.so");
    check_policy(POLICIES "decide_fails.so");
    check_policy(POLICIES "curious.so"); /* timers and ticks */
}

static void test_lost_policy(void **state)
{
    (void)state;
    static struct world world;
    world_init(&world);
    use_policy(&world, POLICIES "layout_fails.so");
    assert_int_equal(world.lost, 1);
    assert_null(drive_policy(world.drive, 0));
    run(&world, 50); /* the built-in goes on */
    assert_int_equal(world.ended, world.accepted);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_lost_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
