/* What a seed decides before a run: the whole configuration, in the way of a swarm: most features
 * are off in most runs, so that those that are on meet undisturbed. */
#include "swarm.h"

#include <stdio.h>
#include <string.h>

uint32_t dice_roll(struct dice *dice, uint32_t n)
{
    if (dice->tape) {
        uint32_t value = dice->tape[dice->tape_at % dice->tape_size];
        dice->tape_at++;
        return value % n;
    }
    dice->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = dice->state;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return (uint32_t)((x >> 32) % n);
}

int64_t dice_range(struct dice *dice, int64_t low, int64_t high)
{
    return low + (int64_t)dice_roll(dice, (uint32_t)(high - low + 1));
}

bool dice_percent(struct dice *dice, uint32_t percent)
{
    return percent != 0 && dice_roll(dice, 100) < percent;
}

/* One of `count` values. */
static int64_t pick(struct dice *dice, const int64_t *values, uint32_t count)
{
    return values[dice_roll(dice, count)];
}

#define PICK(dice, ...)                                                                            \
    pick((dice), (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / 8)

static void plan_devices(struct plan *plan, struct dice *dice)
{
    plan->device_count = (uint32_t)PICK(dice, 1, 1, 1, 1, 2, 2, 3);
    for (uint32_t d = 0; d < plan->device_count; d++) {
        plan->device[d] = (struct core_device_config){
            .memory_bytes = PICK(dice, 100, 100, 100, 60, 200),
            .link = dice_roll(dice, 2),
            .up = 1,
        };
    }
}

/* Bytes of every tier, the colder the less; STOPPED holds nothing. */
static void plan_instance(struct plan *plan, struct dice *dice, struct core_instance_config *place,
                          uint32_t device, int64_t resident_bytes, uint32_t warm_tiers)
{
    *place = (struct core_instance_config){
        .device = device,
        .tiers = 1u << SHUNT_TIER_STOPPED | 1u << SHUNT_TIER_RESIDENT | warm_tiers,
        .edges_in = 1u << SHUNT_TIER_STOPPED | warm_tiers,
        .tier = SHUNT_TIER_STOPPED,
    };
    place->device_bytes[SHUNT_TIER_RESIDENT] = resident_bytes;
    if (warm_tiers & 1u << SHUNT_TIER_ASLEEP) {
        place->device_bytes[SHUNT_TIER_ASLEEP] = PICK(dice, 0, 0, 1, 2);
        place->host_bytes[SHUNT_TIER_ASLEEP] = resident_bytes;
    }
    if (warm_tiers & 1u << SHUNT_TIER_SUSPENDED) {
        place->host_bytes[SHUNT_TIER_SUSPENDED] = resident_bytes;
    }
    if (warm_tiers & 1u << SHUNT_TIER_DISCARDED) {
        place->device_bytes[SHUNT_TIER_DISCARDED] = PICK(dice, 0, 1);
    }
    if (warm_tiers & 1u << SHUNT_TIER_STAGED) {
        place->host_bytes[SHUNT_TIER_STAGED] = resident_bytes / 2;
        place->edges_prefetch = 1u << SHUNT_TIER_STAGED;
    }
    if (warm_tiers & 1u << SHUNT_TIER_ASLEEP && dice_percent(dice, 30)) {
        place->edges_prefetch |= 1u << SHUNT_TIER_ASLEEP;
    }
    if (plan->strict && dice_percent(dice, 50)) {
        place->device_bytes[SHUNT_TIER_ASLEEP] = 0;
        place->device_bytes[SHUNT_TIER_DISCARDED] = 0;
    }
}

static void plan_models(struct plan *plan, struct dice *dice)
{
    int64_t unit = plan->unit_ns;
    plan->model_count = (uint32_t)dice_range(dice, 1, SWARM_MODELS_MAX);
    if (dice_percent(dice, 40)) {
        plan->model_count = (uint32_t)dice_range(dice, 2, 3);
    }
    bool exclusive = dice_percent(dice, 40);
    uint32_t batch = (uint32_t)PICK(dice, 1, 1, 2, 4, 8);
    uint32_t load = (uint32_t)PICK(dice, 4, 10, 30, 60);
    bool limits = dice_percent(dice, 25);
    int64_t service_limit = dice_percent(dice, 85) ? unit * PICK(dice, 1, 2, 3, 6, 12) : 0;
    for (uint32_t m = 0; m < plan->model_count; m++) {
        struct plan_model *model = &plan->model[m];
        model->config = (struct core_model_config){
            .key = UINT64_C(0x1000) + m * UINT64_C(0x9e3779b97f4a7c15),
            .max_concurrency = (uint32_t)dice_range(dice, 1, batch),
            .queue_max = (uint32_t)PICK(dice, 2, 5, 20, 100),
            .max_wait_ns = limits && dice_percent(dice, 50) ? unit * dice_range(dice, 1, 60) : 0,
            .service_limit_ns = service_limit,
            .idle_unload_ns = limits && dice_percent(dice, 30) ? unit * dice_range(dice, 1, 20) : 0,
            .weight = 1.0,
            .reject_hopeless = limits ? dice_roll(dice, 2) : 0,
        };
        model->service_min_ns = dice_percent(dice, 30) ? 0 : 1;
        model->service_max_ns = service_limit ? service_limit : unit * dice_range(dice, 1, 12);
        model->arrivals = dice_roll(dice, load + 1);
        uint32_t warm = dice_roll(dice, 16) << SHUNT_TIER_STAGED;
        for (uint32_t d = 0; d < plan->device_count; d++) {
            bool last = d + 1 == plan->device_count;
            bool must = last && model->config.instance_count == 0;
            if (!must && dice_percent(dice, 40)) {
                continue;
            }
            int64_t memory = plan->device[d].memory_bytes;
            /* Residues of all the others must leave room: they are 2 bytes each at most. */
            int64_t most = memory - 2 * (int64_t)SWARM_MODELS_MAX;
            int64_t bytes = exclusive
                                ? most - dice_roll(dice, 5)
                                : dice_range(dice, 10, dice_percent(dice, 50) ? most / 2 : most);
            plan_instance(plan, dice, &model->instance[model->config.instance_count], d, bytes,
                          warm);
            model->config.instance_count++;
        }
    }
    plan->host_memory_bytes = dice_percent(dice, 15) ? PICK(dice, 50, 100, 150, 300) : 0;
}

static void plan_guard(struct plan *plan, struct dice *dice)
{
    int64_t unit = plan->unit_ns;
    struct core_guard_config *guard = &plan->guard;
    guard->enabled = dice_percent(dice, 92) ? 1 : 0;
    guard->switch_limit_ns = unit * dice_range(dice, 1, 6);
    guard->answer_ns = dice_percent(dice, 50) ? 1 : unit * dice_range(dice, 1, 3);
    guard->drain_ns = dice_percent(dice, 60) ? 0 : unit * dice_range(dice, 1, 8);
    guard->drain_mode =
        dice_percent(dice, 75) ? (uint32_t)SHUNT_DRAIN_FINISH : (uint32_t)SHUNT_DRAIN_REQUEUE;
    guard->visit_cap_floor_ns = unit * PICK(dice, 1, 10, 120);
    if (dice_percent(dice, 75)) { /* tiny settings: the guard decides much */
        guard->visit_cap_ns = unit * dice_range(dice, 1, 10);
        guard->overtakes = (uint32_t)PICK(dice, 0, 1, 1, 2, 3, 5);
        guard->age_ns = dice_percent(dice, 70) ? unit * PICK(dice, 1, 2, 7, 20, 100) : 0;
        guard->dispatches_min = dice_percent(dice, 60) ? 1 : 0;
    }
    if (dice_percent(dice, 15)) {
        guard->switches_per_minute = (uint32_t)dice_range(dice, 1, 20);
    }
    if (dice_percent(dice, 15)) {
        guard->switch_share_max = 0.05 + 0.1 * (double)dice_roll(dice, 6);
    }
    if (dice_percent(dice, 20)) {
        guard->min_residence_ns = unit * dice_range(dice, 1, 10);
    }
}

static void plan_policy(struct plan_policy *policy, struct dice *dice, uint32_t models)
{
    *policy = (struct plan_policy){
        .kind = dice_roll(dice, HOSTILE_COUNT),
        .target = dice_roll(dice, models),
    };
    policy->late = dice_percent(dice, 25) ? (uint32_t)PICK(dice, 10, 50, 100) : 0;
    policy->never = dice_percent(dice, 15) ? (uint32_t)PICK(dice, 10, 100) : 0;
    policy->gated = dice_percent(dice, 25) ? (uint32_t)PICK(dice, 30, 100) : 0;
    policy->requeue = dice_percent(dice, 25) ? (uint32_t)PICK(dice, 30, 100) : 0;
    policy->quantum = dice_percent(dice, 25) ? (uint32_t)PICK(dice, 30, 100) : 0;
    policy->residence = dice_percent(dice, 25) ? (uint32_t)PICK(dice, 30, 100) : 0;
    policy->recheck = dice_percent(dice, 30) ? (uint32_t)PICK(dice, 30, 100) : 0;
    policy->secondary = dice_percent(dice, 25) ? 40 : 0;
}

static void plan_faults(struct plan *plan, struct dice *dice)
{
    if (dice_percent(dice, 35)) {
        plan->step_fail = (uint32_t)PICK(dice, 5, 20, 60);
    }
    if (dice_percent(dice, 35)) {
        plan->step_hang = (uint32_t)PICK(dice, 5, 30);
    }
    if (dice_percent(dice, 30)) {
        plan->step_escalate = (uint32_t)PICK(dice, 10, 50);
    }
    if (dice_percent(dice, 15)) {
        plan->step_stuck = 30;
    }
    plan->request_fail = 3;
    plan->deadline = 5;
    plan->step_worst = (uint32_t)PICK(dice, 0, 30, 90);
    plan->step_max_units = (uint32_t)dice_range(dice, 1, 5);
    plan->cancel = dice_percent(dice, 40) ? (uint32_t)PICK(dice, 5, 30, 70) : 0;
    plan->cancel_head = dice_percent(dice, 25) ? (uint32_t)PICK(dice, 3, 20) : 0;
    plan->engine_losses = dice_percent(dice, 30) ? (uint32_t)PICK(dice, 1, 4, 12) : 0;
    plan->device_losses = dice_percent(dice, 20) ? (uint32_t)dice_range(dice, 1, 3) : 0;
    plan->operations = dice_percent(dice, 25) ? (uint32_t)PICK(dice, 2, 10) : 0;
    plan->slot_changes = dice_percent(dice, 40) ? (uint32_t)PICK(dice, 1, 5, 20) : 0;
    plan->reconfigurations = dice_percent(dice, 20) ? (uint32_t)dice_range(dice, 1, 4) : 0;
    plan->timers = dice_percent(dice, 30) ? (uint32_t)PICK(dice, 1, 10) : 0;
    plan->news = dice_percent(dice, 25) ? 10 : 0;
    plan->pokes = dice_percent(dice, 30) ? 10 : 0;
    plan->failed_backoff_ns = plan->unit_ns * dice_range(dice, 1, 10);
    plan->retries_max = dice_roll(dice, 4);
}

void plan_make(struct plan *plan, uint64_t seed)
{
    memset(plan, 0, sizeof(*plan));
    struct dice dice = {.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
    plan->seed = seed;
    plan->unit_ns = PICK(&dice, CORE_NS_PER_S, 1000000, 7);
    plan->strict = dice_percent(&dice, 70);
    plan->horizon_ns = plan->unit_ns * PICK(&dice, 40, 120, 300, 600);
    plan->slot_count = (uint32_t)dice_range(&dice, 1, SWARM_SLOTS_MAX);
    /* The theorem asks for in_flight_max to be no limit; lax runs may have it as one. */
    uint32_t in_flight_max = plan->strict ? 8 * SWARM_INSTANCES_MAX : 20;
    plan->limits = (struct core_limits){
        .models_max = SWARM_MODELS_MAX,
        .devices_max = SWARM_DEVICES_MAX,
        .instances_max = SWARM_INSTANCES_MAX,
        .slots_max = plan->slot_count,
        .queued_max = (uint32_t)PICK(&dice, 10, 100, 400),
        .in_flight_max = in_flight_max,
    };
    plan_devices(plan, &dice);
    plan_models(plan, &dice);
    plan_guard(plan, &dice);
    plan_faults(plan, &dice);
    for (uint32_t s = 0; s < plan->slot_count; s++) {
        plan_policy(&plan->policy[s], &dice, plan->model_count);
    }
    plan->present = (1u << plan->model_count) - 1;
    if (plan->reconfigurations != 0 && plan->model_count > 1 && dice_percent(&dice, 60)) {
        plan->present &= ~(1u << dice_roll(&dice, plan->model_count));
    }
}

void plan_print(const struct plan *plan)
{
    const struct core_guard_config *g = &plan->guard;
    long long unit = (long long)plan->unit_ns;
    printf("seed %llu: unit %lld ns, horizon %lld units, %s, devices %u, models %u (present %#x), "
           "slots %u, host memory %lld\n",
           (unsigned long long)plan->seed, unit, (long long)plan->horizon_ns / unit,
           plan->strict ? "strict" : "lax", plan->device_count, plan->model_count, plan->present,
           plan->slot_count, (long long)plan->host_memory_bytes);
    printf("  guard %s M %u K %u A %lld T %lld floor %lld D %lld C %lld delta %lld mode %u "
           "rate %u share %.2f residence %lld (ns)\n",
           g->enabled ? "on" : "off", g->overtakes, g->dispatches_min, (long long)g->age_ns,
           (long long)g->visit_cap_ns, (long long)g->visit_cap_floor_ns, (long long)g->drain_ns,
           (long long)g->switch_limit_ns, (long long)g->answer_ns, g->drain_mode,
           g->switches_per_minute, g->switch_share_max, (long long)g->min_residence_ns);
    for (uint32_t d = 0; d < plan->device_count; d++) {
        printf("  device %u: %lld bytes, link %u\n", d, (long long)plan->device[d].memory_bytes,
               plan->device[d].link);
    }
    for (uint32_t m = 0; m < plan->model_count; m++) {
        const struct plan_model *model = &plan->model[m];
        printf("  model %u: arrivals %u batch %u queue %u max_wait %lld B %lld idle_unload %lld "
               "hopeless %u;",
               m, model->arrivals, model->config.max_concurrency, model->config.queue_max,
               (long long)model->config.max_wait_ns, (long long)model->config.service_limit_ns,
               (long long)model->config.idle_unload_ns, model->config.reject_hopeless);
        for (uint32_t k = 0; k < model->config.instance_count; k++) {
            printf(" [gpu %u: %lld bytes, tiers %#x, prefetch %#x]", model->instance[k].device,
                   (long long)model->instance[k].device_bytes[SHUNT_TIER_RESIDENT],
                   model->instance[k].tiers, model->instance[k].edges_prefetch);
        }
        printf("\n");
    }
    for (uint32_t s = 0; s < plan->slot_count; s++) {
        const struct plan_policy *p = &plan->policy[s];
        printf("  slot %u: %s late %u never %u gated %u requeue %u quantum %u residence %u "
               "recheck %u secondary %u target %u\n",
               s, hostile_name(p->kind), p->late, p->never, p->gated, p->requeue, p->quantum,
               p->residence, p->recheck, p->secondary, p->target);
    }
    printf("  steps: fail %u hang %u escalate %u stuck %u worst %u max %u units, retries %u, "
           "backoff %lld ns\n",
           plan->step_fail, plan->step_hang, plan->step_escalate, plan->step_stuck,
           plan->step_worst, plan->step_max_units, plan->retries_max,
           (long long)plan->failed_backoff_ns);
    printf("  events: cancel %u%% heads %u engine losses %u device losses %u operations %u slots "
           "%u reconfigurations %u timers %u news %u pokes %u\n",
           plan->cancel, plan->cancel_head, plan->engine_losses, plan->device_losses,
           plan->operations, plan->slot_changes, plan->reconfigurations, plan->timers, plan->news,
           plan->pokes);
}
