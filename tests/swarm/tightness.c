/*
 * Searches for the largest gap / bound: settings and schedules are small integers and a tape of
 * choices, mutated by hill-climbing with restarts. The world fails by itself when a gap exceeds
 * its bound; this program tells how near the worst that was found comes.
 *
 *   tightness [--seed S] [--runs N]      default: seed 1, 2000 runs (seconds)
 *
 * A long search, about an hour:  tightness --seed 7 --runs 3000000
 */
#include "swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAPE     512u
#define UNIT     1000
#define RESTART  300u /* runs without progress */
#define ARRIVALS 12u

/* Everything that the search may change. */
struct genome {
    uint8_t models;   /* 2..5 */
    uint8_t devices;  /* 1..2 */
    uint8_t c;        /* 1..6 */
    uint8_t t;        /* 1..6 */
    uint8_t d;        /* 1..8 */
    uint8_t delta;    /* 0..2 */
    uint8_t m;        /* 1..3 */
    uint8_t a;        /* 1..40 */
    uint8_t b;        /* 1..8 */
    uint8_t batch;    /* 1..3 */
    uint8_t fraction; /* 1: a model fills a device; 2, 3: two, three fit */
    uint8_t policy;
    uint8_t late;
    uint8_t cancel;
    uint8_t fails;
    uint8_t arrivals[SWARM_MODELS_MAX];
    uint8_t tape[TAPE];
};

static uint8_t between(struct dice *dice, uint32_t low, uint32_t high)
{
    return (uint8_t)(low + dice_roll(dice, high - low + 1));
}

static void settings_random(struct genome *g, struct dice *dice)
{
    g->models = between(dice, 2, 5);
    g->devices = between(dice, 1, 4) == 4 ? 2 : 1;
    g->c = between(dice, 1, 6);
    g->t = between(dice, 1, 6);
    g->d = between(dice, 1, 8);
    g->delta = between(dice, 0, 2);
    g->m = between(dice, 1, 3);
    g->a = between(dice, 1, 40);
    g->b = between(dice, 1, 8);
    g->batch = between(dice, 1, 3);
    g->fraction = between(dice, 1, 3);
    g->policy = between(dice, 0, HOSTILE_COUNT - 1);
    g->late = between(dice, 0, 2);
    g->cancel = between(dice, 0, 2);
    g->fails = between(dice, 0, 3);
    for (uint32_t m = 0; m < SWARM_MODELS_MAX; m++) {
        g->arrivals[m] = between(dice, 1, ARRIVALS);
    }
}

static void tape_random(struct genome *g, struct dice *dice)
{
    for (uint32_t i = 0; i < TAPE; i++) {
        g->tape[i] = between(dice, 0, 255);
    }
}

static void mutate(struct genome *g, struct dice *dice)
{
    if (dice_percent(dice, 40)) {
        struct genome other = *g;
        settings_random(&other, dice);
        /* One setting, or one count of arrivals: the bytes before the tape are one each. */
        uint32_t at = dice_roll(dice, (uint32_t)offsetof(struct genome, tape));
        ((uint8_t *)g)[at] = ((const uint8_t *)&other)[at];
    }
    uint32_t changes = dice_roll(dice, 6);
    for (uint32_t i = 0; i < changes; i++) {
        g->tape[dice_roll(dice, TAPE)] = between(dice, 0, 255);
    }
}

static void plan_of(const struct genome *g, struct plan *plan)
{
    *plan = (struct plan){
        .seed = 1,
        .unit_ns = UNIT,
        .horizon_ns = 60 * UNIT,
        .strict = true,
        .limits = {SWARM_MODELS_MAX, SWARM_DEVICES_MAX, SWARM_INSTANCES_MAX, 1, 400, 200},
        .guard = {.enabled = 1,
                  .overtakes = g->m,
                  .dispatches_min = 1,
                  .age_ns = g->a * UNIT,
                  .visit_cap_ns = g->t * UNIT,
                  .drain_ns = g->d * UNIT,
                  .switch_limit_ns = g->c * UNIT,
                  .answer_ns = g->delta == 0 ? 1 : g->delta * UNIT,
                  .drain_mode = SHUNT_DRAIN_FINISH},
        .policy = {{.kind = g->policy, .late = 50u * g->late}},
        .failed_backoff_ns = UNIT,
        .model_count = g->models,
        .device_count = g->devices,
        .slot_count = 1,
        .present = (1u << g->models) - 1,
        .step_worst = 80,
        .step_max_units = g->c,
        .step_fail = g->fails == 3 ? 20 : 0,
        .step_hang = g->fails == 2 ? 20 : 0,
        .cancel = 20u * g->cancel,
    };
    for (uint32_t d = 0; d < g->devices; d++) {
        plan->device[d] = (struct core_device_config){.memory_bytes = 60, .up = 1};
    }
    for (uint32_t m = 0; m < g->models; m++) {
        struct plan_model *model = &plan->model[m];
        model->arrivals = g->arrivals[m];
        model->service_min_ns = 1;
        model->service_max_ns = g->b * UNIT;
        model->config = (struct core_model_config){
            .key = m + 1,
            .max_concurrency = g->batch,
            .queue_max = 100,
            .service_limit_ns = g->b * UNIT,
            .weight = 1.0,
            .instance_count = g->devices,
        };
        for (uint32_t d = 0; d < g->devices; d++) {
            model->instance[d] = (struct core_instance_config){
                .device = d,
                .tiers = 1u << SHUNT_TIER_STOPPED | 1u << SHUNT_TIER_RESIDENT,
                .edges_in = 1u << SHUNT_TIER_STOPPED,
                .device_bytes = {[SHUNT_TIER_RESIDENT] = 60 / g->fraction},
            };
        }
    }
}

static double value_of(const struct genome *g, uint64_t seed)
{
    struct plan plan;
    struct swarm_result result;
    plan_of(g, &plan);
    plan.seed = seed;
    struct swarm_options options = {.tape = g->tape, .tape_size = TAPE};
    swarm_run(&plan, &options, &result);
    return result.gap_ratio_max;
}

static void genome_print(const struct genome *g, double value)
{
    printf("gap / bound %.3f: N %u, devices %u, C %u T %u D %u delta %u M %u A %u B %u, batch %u, "
           "%u to a device, policy %s\n",
           value, g->models, g->devices, g->c, g->t, g->d, g->delta, g->m, g->a, g->b, g->batch,
           g->fraction, hostile_name(g->policy));
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    uint64_t runs = 2000;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--runs") == 0) {
            runs = strtoull(argv[i + 1], NULL, 10);
        } else {
            fprintf(stderr, "usage: tightness [--seed S] [--runs N]\n");
            return 2;
        }
    }
    swarm_set_seed(seed, "tightness");
    struct dice dice = {.state = seed};
    struct genome best = {0};
    struct genome now = {0};
    double best_value = -1.0;
    double now_value = -1.0;
    uint32_t stale = RESTART;
    for (uint64_t run = 0; run < runs; run++) {
        struct genome next = now;
        if (stale >= RESTART) {
            stale = 0;
            now_value = -1.0;
            settings_random(&next, &dice);
            tape_random(&next, &dice);
        } else {
            mutate(&next, &dice);
        }
        double value = value_of(&next, seed);
        stale = value > now_value ? 0 : stale + 1;
        if (value >= now_value) {
            now = next;
            now_value = value;
        }
        if (value > best_value) {
            best = next;
            best_value = value;
            genome_print(&best, best_value);
            fflush(stdout);
        }
    }
    printf("%llu runs; largest gap / bound %.3f\n", (unsigned long long)runs, best_value);
    return best_value > 1.0;
}
