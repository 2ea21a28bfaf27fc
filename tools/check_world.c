/* Random worlds for `shunt check`; see check_world.h. */
#include "tools/check_world.h"

#include "core/rng.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COST_ID = 192, HIDDEN_BIT = 2048 };

struct kind {
    uint32_t id, type;
};

static const struct kind kinds[] = {
#define SHUNT_COLUMN(id, name, type, axis0, axis1, doc) {(id), SHUNT_TYPE_##type},
#include <shunt/columns.def>
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

uint32_t check_world_column(uint32_t index)
{
    return index < KIND_COUNT ? kinds[index].id : 0;
}

static uint64_t draw(struct check_world *world)
{
    return core_random(world->seed, 1, world->draws++, 0);
}

static uint32_t draw_below(struct check_world *world, uint32_t limit)
{
    return limit > 0 ? (uint32_t)(draw(world) % limit) : 0;
}

int check_world_init(struct check_world *ret_world, uint64_t seed, uint32_t models,
                     uint32_t devices)
{
    struct check_world world = {.models = models,
                                .devices = devices,
                                .instances = models * devices,
                                .seed = seed,
                                .now_ns = 1000 * CORE_NS_PER_S};
    void *snapshot = calloc(1, core_blob_size(false, models, devices, world.instances));
    void *costs = calloc(1, core_blob_size(true, models, devices, world.instances));
    if (!snapshot || !costs) {
        free(snapshot);
        free(costs);
        return -ENOMEM;
    }
    core_blob_init(&world.snapshot, snapshot, false, models, devices, world.instances);
    core_blob_init(&world.costs, costs, true, models, devices, world.instances);
    *ret_world = world;
    return 0;
}

void check_world_fini(struct check_world *world)
{
    free(world->snapshot.head);
    free(world->costs.head);
}

static const struct shunt_column *column_of(const struct check_world *world, uint32_t id)
{
    const struct shunt_snapshot *head = id >= COST_ID ? world->costs.head : world->snapshot.head;
    const struct shunt_column *column = shunt_column_find(head, id);
    return column ? column : shunt_column_find(head, id | HIDDEN_BIT);
}

/* Any value of the column's type that its meaning allows at large; indices come afterwards. */
static void fill_column(struct check_world *world, const struct kind *kind)
{
    const struct core_blob *blob = kind->id >= COST_ID ? &world->costs : &world->snapshot;
    const struct shunt_column *column = column_of(world, kind->id);
    for (uint32_t i = 0; column && i < column->count; i++) {
        switch (kind->type) {
        case SHUNT_TYPE_U32:
            core_blob_u32(blob, kind->id)[i] = draw_below(world, 5);
            break;
        case SHUNT_TYPE_U64:
            core_blob_u64(blob, kind->id)[i] = draw_below(world, 1000);
            break;
        case SHUNT_TYPE_I64:
            core_blob_i64(blob, kind->id)[i] =
                world->now_ns - (int64_t)draw_below(world, 1000) * CORE_NS_PER_S;
            break;
        default: {
            bool unknown = world->unknown || draw_below(world, 8) == 0;
            core_blob_f64(blob, kind->id)[i] =
                unknown ? (double)NAN : (double)draw_below(world, 60000) * 1e6;
            break;
        }
        }
    }
}

#define U32(world, name) core_blob_u32(&(world)->snapshot, SHUNT_COL_##name)
#define I64(world, name) core_blob_i64(&(world)->snapshot, SHUNT_COL_##name)
#define U64(world, name) core_blob_u64(&(world)->snapshot, SHUNT_COL_##name)
#define F64(world, name) core_blob_f64(&(world)->snapshot, SHUNT_COL_##name)

static void fill_devices(struct check_world *world)
{
    for (uint32_t d = 0; d < world->devices; d++) {
        bool empty = world->models == 0 || draw_below(world, 6) == 0;
        uint32_t model = empty ? SHUNT_NONE : draw_below(world, world->models);
        U32(world, DEVICE_MODEL)[d] = model;
        U32(world, DEVICE_TARGET)
        [d] = world->models > 0 && draw_below(world, 6) == 0 ? draw_below(world, world->models)
                                                             : SHUNT_NONE;
        U32(world, DEVICE_STATE)[d] = draw_below(world, SHUNT_DEVICE_STATE_COUNT);
        U32(world, DEVICE_UP)[d] = 1;
        U32(world, DEVICE_FORCED)[d] = draw_below(world, 10) == 0;
        I64(world, VISIT_CAP_NS)
        [d] = draw_below(world, 2) ? INT64_MAX : world->now_ns + draw_below(world, 1000000000);
        I64(world, DEVICE_SWITCH_ETA_NS)[d] = 0;
        if (empty) {
            I64(world, VISIT_START_NS)[d] = 0;
            I64(world, VISIT_FIRST_DISPATCH_NS)[d] = 0;
        }
    }
    for (uint32_t i = 0; i < world->instances; i++) {
        uint32_t model = i % world->models, device = i / world->models;
        bool here = U32(world, DEVICE_MODEL)[device] == model;
        U32(world, INSTANCE_MODEL)[i] = model;
        U32(world, INSTANCE_DEVICE)[i] = device;
        U32(world, INSTANCE_TIER)[i] = here ? SHUNT_TIER_RESIDENT : draw_below(world, 5);
        U32(world, INSTANCE_STATE)[i] = U32(world, INSTANCE_TIER)[i];
        U32(world, INSTANCE_ADMITTING)[i] = here;
        U32(world, INSTANCE_PINNED)[i] = draw_below(world, 20) == 0;
        U32(world, EVICTABLE)[i] = here;
        I64(world, INSTANCE_BUSY_NS)[i] = here ? draw_below(world, 1000000000) : 0;
        I64(world, INSTANCE_BUSY_SINCE_NS)[i] = here ? world->now_ns : INT64_MAX;
    }
}

static void fill_models(struct check_world *world)
{
    for (uint32_t m = 0; m < world->models; m++) {
        uint64_t resident = 0;
        for (uint32_t d = 0; d < world->devices; d++) {
            resident |= U32(world, DEVICE_MODEL)[d] == m ? UINT64_C(1) << d : 0;
        }
        uint32_t queued = U32(world, QUEUE_LEN)[m];
        U64(world, RESIDENT_DEVICES)[m] = resident;
        U32(world, WAITING)[m] = queued > 0 && resident == 0;
        I64(world, WAITING_SINCE_NS)[m] = U32(world, WAITING)[m] ? world->now_ns - 1 : 0;
        I64(world, HEAD_ARRIVAL_NS)
        [m] = queued > 0 ? world->now_ns - draw_below(world, 1000000) : INT64_MAX;
        I64(world, HEAD_DEADLINE_NS)[m] = INT64_MAX;
        U32(world, FORCED_DEVICE)[m] = SHUNT_NONE;
        U32(world, MAX_CONCURRENCY)[m] = 1 + draw_below(world, 32);
        F64(world, WEIGHT)[m] = 1;
        U64(world, PLACEMENTS)[m] = (UINT64_C(1) << world->devices) - 1;
        I64(world, QUARANTINED_UNTIL_NS)
        [m] = draw_below(world, 10) == 0 ? world->now_ns + CORE_NS_PER_S : 0;
    }
}

/* Absent columns keep their bytes; only their id in the directory is one nobody asks for. */
static void hide_columns(struct check_world *world)
{
    struct shunt_snapshot *heads[2] = {world->snapshot.head, world->costs.head};
    for (int b = 0; b < 2; b++) {
        struct shunt_column *column =
            (struct shunt_column *)(void *)((char *)(void *)heads[b] + heads[b]->column_offset);
        for (uint32_t i = 0; i < heads[b]->column_count; i++) {
            uint32_t id = column[i].id & ~(uint32_t)HIDDEN_BIT;
            bool hidden = world->hidden == UINT32_MAX || world->hidden == id;
            column[i].id = hidden ? id | HIDDEN_BIT : id;
        }
    }
}

void check_world_step(struct check_world *world)
{
    world->now_ns += (int64_t)draw_below(world, 3000) * 1000000;
    for (uint32_t i = 0; i < KIND_COUNT; i++) {
        fill_column(world, &kinds[i]);
    }
    fill_devices(world);
    fill_models(world);
    hide_columns(world);
    world->snapshot.head->now_ns = world->now_ns;
    world->snapshot.head->generation++;
    world->costs.head->now_ns = world->now_ns;
}

int check_world_layout(struct check_world *world, struct policy *policy)
{
    const struct core_act_notify layout = {.hook = CORE_HOOK_LAYOUT};
    const struct core_act_notify resync = {.hook = CORE_HOOK_RESYNC};
    int rc = policy_notify(policy, &layout, world->now_ns, world->snapshot.head);
    return rc ? rc : policy_notify(policy, &resync, world->now_ns, world->snapshot.head);
}

void check_world_event(struct check_world *world, struct policy *policy)
{
    struct core_act_notify notify = {
        .hook = CORE_HOOK_ARRIVAL + draw_below(world, CORE_HOOK_COUNT - CORE_HOOK_ARRIVAL)};
    bool change = notify.hook >= (uint32_t)CORE_HOOK_SWITCH_START &&
                  notify.hook <= (uint32_t)CORE_HOOK_SWITCH_FAILED;
    if (world->models == 0 || world->devices == 0) {
        return;
    }
    uint32_t model = draw_below(world, world->models), device = draw_below(world, world->devices);
    if (change) {
        notify.event.change = (struct shunt_switch_event){
            .size = sizeof notify.event.change,
            .device = device,
            .switch_id = draw(world),
            .t_ns = world->now_ns,
            .from = draw_below(world, 2) ? SHUNT_NONE : draw_below(world, world->models),
            .to = model,
            .instance = device * world->models + model,
            .from_tier = draw_below(world, SHUNT_TIER_COUNT),
            .in_ns = draw_below(world, 1000000000),
        };
    } else if (notify.hook == (uint32_t)CORE_HOOK_TIMER) {
        notify.event.timer = draw_below(world, 16);
    } else if (notify.hook < (uint32_t)CORE_HOOK_SWITCH_START) {
        notify.event.request = (struct shunt_request_event){
            .size = sizeof notify.event.request,
            .model = model,
            .request = draw(world),
            .t_ns = world->now_ns,
            .arrival_ns = world->now_ns - draw_below(world, 1000000000),
            .instance = notify.hook == (uint32_t)CORE_HOOK_ARRIVAL ? SHUNT_NONE
                                                                   : device * world->models + model,
            .priority = (int32_t)draw_below(world, 16) - 8,
            .prompt_tokens = draw_below(world, 10000),
        };
    }
    (void)policy_notify(policy, &notify, world->now_ns, NULL);
}

static void digest(struct check_world *world, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++) {
        world->digest = (world->digest ^ at[i]) * UINT64_C(1099511628211);
    }
}

/* What the host would have to drop or clamp is a mistake of the policy. */
static int judge(const struct check_world *world, const struct shunt_decision *it, char *why,
                 size_t size)
{
    const char *what = NULL;
    if (it->action > SHUNT_NO_OPINION) {
        what = "an unknown action";
    } else if (it->action == SHUNT_SWITCH && it->model >= world->models) {
        what = "a switch to a model that does not exist";
    } else if (it->action == SHUNT_SWITCH && it->instance != SHUNT_NONE &&
               it->instance >= world->instances) {
        what = "a switch to an instance that does not exist";
    } else if (it->action == SHUNT_LINGER && it->linger_until_ns < world->now_ns) {
        what = "a linger until a time that is past";
    } else if (it->drain > SHUNT_DRAIN_REQUEUE) {
        what = "an unknown drain mode";
    } else if (it->flags & ~(uint32_t)SHUNT_DECISION_GATED) {
        what = "unknown flags";
    } else if (it->victim_count > SHUNT_VICTIM_MAX || it->secondary_count > SHUNT_SECONDARY_MAX) {
        what = "more victims or secondary actions than there is room for";
    } else if (!(it->propensity >= 0 && it->propensity <= 1)) {
        what = "a propensity that is no probability";
    } else if (it->quantum_ns < 0 || it->min_residence_ns < 0 || it->recheck_at_ns < 0) {
        what = "a negative time";
    }
    for (uint32_t i = 0; !what && i < it->victim_count; i++) {
        bool known =
            it->victims[i].instance < world->instances &&
            (it->victims[i].tier < SHUNT_TIER_RESIDENT || it->victims[i].tier == SHUNT_NONE);
        what = known ? NULL : "a victim that does not exist";
    }
    if (what) {
        (void)snprintf(why, size, "decide answered with %s (question %llu)", what,
                       (unsigned long long)world->asks);
        return -EPROTO;
    }
    return 0;
}

int check_world_ask(struct check_world *world, struct policy *policy, char *why, size_t why_size)
{
    for (uint32_t d = 0; d < world->devices; d++) {
        const struct shunt_ask ask = {
            .size = sizeof ask,
            .device = d,
            .id = ++world->asks,
            .generation = world->snapshot.head->generation,
            .now_ns = world->now_ns,
            .why = 1u << draw_below(world, 17),
            .snapshot = world->snapshot.head,
            .costs = world->without_costs ? NULL : world->costs.head,
        };
        const struct shunt_answer *answer = NULL;
        if (policy_decide(policy, &ask, &answer) != 0) {
            (void)snprintf(why, why_size, "decide failed or gave no answer (question %llu)",
                           (unsigned long long)world->asks);
            return -EIO;
        }
        int rc = judge(world, &answer->decisions[0], why, why_size);
        if (rc) {
            return rc;
        }
        digest(world, &answer->decisions[0], sizeof answer->decisions[0]);
        for (uint32_t i = 0; i < answer->score_count; i++) {
            double score = isnan(answer->scores[i]) ? 0 : answer->scores[i];
            digest(world, &score, sizeof score);
        }
    }
    return 0;
}

int check_world_run(struct check_world *world, struct policy *policy, uint32_t steps, char *why,
                    size_t why_size)
{
    check_world_step(world);
    int rc = check_world_layout(world, policy);
    if (rc) {
        (void)snprintf(why, why_size, "models_changed failed with %u models and %u devices",
                       world->models, world->devices);
        return rc;
    }
    for (uint32_t i = 0; rc == 0 && i < steps; i++) {
        check_world_step(world);
        for (uint32_t events = draw_below(world, 6); events > 0; events--) {
            check_world_event(world, policy);
        }
        rc = check_world_ask(world, policy, why, why_size);
    }
    return rc;
}
