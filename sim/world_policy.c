/* Policies of a run: instances in slots, their answers, swaps and the operator. */
#include "sim/world.h"

#include "core/rng.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_POLICY = 0x706f6c00 };

static void slot_input(struct sim *sim, uint32_t slot, enum core_slot_change change)
{
    struct core_input *input = world_input(sim, CORE_IN_SLOT);
    input->u.slot = (struct core_in_slot){.slot = slot, .change = change};
    (void)world_feed(sim, input);
}

/* ------------------------------------------------------------------ instances */

static int policy_make(struct sim *sim, const struct sim_policy *from, struct policy **ret_policy)
{
    const struct layout *layout = sim->layout;
    struct params *params = NULL;
    int rc = from->params ? params_clone(from->params, &params)
                          : params_create(&from->plugin->schema, layout->names, layout->model_count,
                                          &params);
    if (!rc) {
        rc = params_set_models(params, layout->names, layout->model_count);
    }
    char text[SIM_ERROR_MAX] = "out of memory";
    if (!rc) {
        const struct policy_options options = {
            .plugin = from->plugin,
            .seed = core_random(sim->options.seed, STREAM_POLICY, sim->policies, 0),
            .now_ns = sim->now_ns};
        rc = policy_create(&options, params, ret_policy, text, sizeof text);
    }
    if (rc) {
        params_destroy(params);
        const char *id = from->plugin->note.id;
        bool named = strstr(text, id) != NULL;
        world_fail(sim, rc, "%s%s%s%s", named ? "" : "policy ", named ? "" : id, named ? "" : ": ",
                   text);
        return rc;
    }
    sim->policies++;
    return 0;
}

/* What the predecessor knows goes to a successor of the same kind; one that cannot take it starts
 * cold, as in the host. */
static void hand_state_over(struct sim *sim, struct policy *from, struct policy *to)
{
    void *bytes = NULL;
    size_t size = 0;
    if (strcmp(policy_plugin(from)->note.id, policy_plugin(to)->note.id) != 0 ||
        policy_state_save(from, sim->now_ns, &bytes, &size) != 0) {
        return;
    }
    (void)policy_state_load(to, policy_plugin(from)->entry.state_schema, bytes, size, 0,
                            sim->now_ns);
    free(bytes);
}

static void slot_empty(struct sim *sim, uint32_t slot)
{
    slot_input(sim, slot, CORE_SLOT_EMPTY);
    policy_destroy(drive_set_policy(sim->drive, slot, NULL), SHUNT_EXIT_SHUTDOWN, 0, "replaced",
                   sim->now_ns);
}

int policy_install(struct sim *sim, const struct sim_policy *from, bool hand_over)
{
    uint32_t before = sim->slot;
    uint32_t slot = before == 0 ? 1 : 0;
    if (from->plugin) {
        struct policy *policy = NULL;
        int rc = policy_make(sim, from, &policy);
        if (rc) {
            return rc;
        }
        (void)drive_set_policy(sim->drive, slot, policy);
        slot_input(sim, slot, CORE_SLOT_FILL);
        if (drive_policy(sim->drive, slot) != policy) { /* on_lost has it */
            return sim->error;
        }
        if (hand_over && before != CORE_NONE) {
            hand_state_over(sim, drive_policy(sim->drive, before), policy);
        }
    }
    sim->slot = from->plugin ? slot : CORE_NONE;
    sim->plugin = from->plugin;
    if (from->plugin || before != CORE_NONE) {
        slot_input(sim, from->plugin ? slot : SHUNT_NONE, CORE_SLOT_SELECT);
    }
    if (before != CORE_NONE) {
        slot_empty(sim, before);
    }
    return sim->error;
}

void policy_remove_all(struct sim *sim)
{
    for (uint32_t slot = 0; sim->drive && slot < WORLD_SLOTS; slot++) {
        policy_destroy(drive_set_policy(sim->drive, slot, NULL), SHUNT_EXIT_SHUTDOWN, 0,
                       "end of the run", sim->now_ns);
    }
    policy_destroy(sim->lost, SHUNT_EXIT_SHUTDOWN, 0, "its models_changed failed", sim->now_ns);
}

/* ------------------------------------------------------------------ answers under way */

static uint32_t answer_take(struct sim *sim)
{
    if (sim->answer_free == CORE_NONE) {
        uint32_t room = sim->answer_room > 0 ? 2 * sim->answer_room : 16;
        struct answer *grown = realloc(sim->answers, room * sizeof *grown);
        if (!grown) {
            world_fail(sim, -ENOMEM, "out of memory");
            return CORE_NONE;
        }
        sim->answers = grown;
        for (uint32_t i = room; i-- > sim->answer_room;) {
            grown[i].next = sim->answer_free;
            sim->answer_free = i;
        }
        sim->answer_room = room;
    }
    uint32_t place = sim->answer_free;
    sim->answer_free = sim->answers[place].next;
    return place;
}

bool policy_ask(struct sim *sim, const struct core_act_ask *ask)
{
    uint32_t place = answer_take(sim);
    if (place == CORE_NONE) {
        return false;
    }
    drive_decide(sim->drive, ask, sim->now_ns, &sim->answers[place].input);
    world_push(sim, sim->now_ns + sim->scenario->decision_latency_ns, WORLD_DECISION, place, 0);
    return true;
}

void policy_decision(struct sim *sim, uint32_t answer)
{
    sim->events++;
    struct core_input input = sim->answers[answer].input;
    sim->answers[answer].next = sim->answer_free;
    sim->answer_free = answer;
    (void)world_feed(sim, &input);
}

/* ------------------------------------------------------------------ changes */

void change_happens(struct sim *sim, const struct sim_change *change)
{
    sim->events++;
    if (!change->is_operator) {
        (void)policy_install(sim, &change->policy, change->hand_over);
        return;
    }
    struct core_input *input = world_input(sim, CORE_IN_OPERATOR);
    input->u.op = change->op;
    (void)world_feed(sim, input); /* refused where the host would refuse it too */
}
