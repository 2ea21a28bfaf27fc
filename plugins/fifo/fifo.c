/*
 * fifo: first come, first served, over all models. As soon as the request that has waited longest
 * belongs to another model than those resident, the device switches to that model.
 *
 * Fair in the narrowest sense and the baseline that everything else is compared with. Its weakness
 * is the point of this program: two models with alternating arrivals cost one switch a request.
 */
#include <shunt/shunt.h>

enum { DRAIN, MIN_RESIDENCE, TIER, PARAM_COUNT };

static const char *const drains[] = {"configured", "finish", "requeue"}; /* SHUNT_DRAIN_* */
static const char *const tiers[] = {"stopped",   "staged", "discarded",  /* SHUNT_TIER_* */
                                    "suspended", "asleep", "warmest"};
static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_ENUM(1, "drain", SHUNT_PARAM_LIVE, SHUNT_DRAIN_DEFAULT, drains,
                       "How a model that leaves ends its work: as the host is configured, let all "
                       "of it finish, or queue again what has no response byte yet."),
    SHUNT_DECLARE_DURATION(2, "min_residence", SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE, 0, 0, 600,
                           "Shortest stay of a model. Higher: fewer switches, longer waits for the "
                           "others."),
    SHUNT_DECLARE_ENUM(3, "tier", SHUNT_PARAM_LIVE, SHUNT_TIER_RESIDENT, tiers,
                       "Where the weights of the one resident model go when it leaves; the host "
                       "goes colder where it must."),
};

static void param_set(void *self, const struct shunt_params *set)
{
    for (uint32_t i = 0; i < PARAM_COUNT; i++) {
        ((int64_t *)self)[i] = shunt_param_integer(set, i, 0);
    }
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    *ret_self = host->alloc(host, PARAM_COUNT * sizeof(int64_t));
    if (!*ret_self) {
        return -1;
    }
    param_set(*ret_self, set);
    return 0;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    const int64_t *value = self;
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    const uint64_t *resident = shunt_u64(ask->snapshot, SHUNT_COL_RESIDENT_DEVICES);
    const struct shunt_waiters waiters = shunt_find_waiters(ask->snapshot, ask->device);
    struct shunt_decision *decision = &answer->decisions[0];
    uint32_t first = SHUNT_NONE;
    for (uint32_t i = 0; head && resident && i < shunt_model_count(ask->snapshot); i++) {
        int served = resident[i] >> ask->device & 1 || shunt_waits(&waiters, i);
        if (served && head[i] != INT64_MAX && (first == SHUNT_NONE || head[i] < head[first])) {
            first = i;
        }
    }
    if (first == SHUNT_NONE || shunt_is_resident(ask->snapshot, first, ask->device)) {
        return shunt_stay(decision, SHUNT_REASON_FIRST_COME);
    }
    decision->drain = (uint32_t)value[DRAIN];
    decision->min_residence_ns = value[MIN_RESIDENCE];
    if (value[TIER] < SHUNT_TIER_RESIDENT) {
        shunt_evict_to(decision, ask->snapshot, (uint32_t)value[TIER]);
    }
    return shunt_switch_to(decision, first, SHUNT_REASON_FIRST_COME);
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops, .create = create, .decide = decide, .param_set = param_set};

SHUNT_POLICY_DEFINE("fifo", "1.0.0", "MIT",
                    "Serve models in the order of the longest waiting request.", 0, 0, .ops = &ops,
                    .params = params, .param_count = PARAM_COUNT);
