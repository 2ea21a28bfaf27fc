/*
 * Policies that a host must survive, one for each manner: what they say is legal, or nearly, and
 * serves somebody badly. With `noise` drain modes, gates, quanta, minimum residences and rechecks
 * are thrown in at random, keyed by the question, so that runs repeat.
 */
#include <shunt/shunt.h>

enum manner {
    LEAVE,    /* leaves at each visit's start, to the next in turn that waits */
    LINGER,   /* lingers for ever */
    STARVE,   /* anything but one model */
    PINGPONG, /* two models in turn, whoever else waits */
    QUANTUM,  /* a quantum of one request, then stays closed */
    GATED,    /* gated visits that are never opened again */
    REVOKE,   /* decides a switch, and takes it back before its drain has ended */
    EMPTY,    /* brings in whoever has no request */
    VICTIMS,  /* victims and tiers that cannot be */
    PREFETCH, /* eight prefetches and demotions with each answer */
    RETARGET, /* decides for another model without requests before the drain for one has ended */
    YOUNGEST  /* the model whose head has waited the least, quarantined or not */
};

static const char *const manners[] = {"leave",   "linger",   "starve",   "pingpong",
                                      "quantum", "gated",    "revoke",   "empty",
                                      "victims", "prefetch", "retarget", "youngest"};

enum { MANNER, NOISE, TARGET, DICE, PARAM_COUNT };

static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_ENUM(1, "manner", 0, LEAVE, manners, "How it is hostile."),
    SHUNT_DECLARE_BOOL(2, "noise", 0, 0, "Adds what else an answer may have, at random."),
    SHUNT_DECLARE_INT(3, "target", 0, 0, 0, 255, "", "starve: the model to starve, by index."),
    SHUNT_DECLARE_INT(4, "dice", 0, 0, 0, 1000000, "", "Other random choices."),
};

struct hostile {
    const struct shunt_host *host;
    uint32_t manner;
    uint32_t noise;
    uint32_t target;
    uint64_t dice;
    uint64_t turn;
    uint32_t last; /* retarget: who it was before */
};

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    struct hostile *self = host->alloc(host, sizeof *self);
    if (!self) {
        return -1;
    }
    *self = (struct hostile){.host = host,
                             .manner = (uint32_t)shunt_param_integer(set, MANNER, 0),
                             .noise = (uint32_t)shunt_param_integer(set, NOISE, 0),
                             .target = (uint32_t)shunt_param_integer(set, TARGET, 0),
                             .dice = (uint64_t)shunt_param_integer(set, DICE, 0),
                             .last = SHUNT_NONE};
    *ret_self = self;
    return 0;
}

static uint64_t any(const struct hostile *self, const struct shunt_ask *ask, uint64_t what)
{
    return self->host->random_u64(self->host, self->dice << 32 | what << 8 | ask->device, ask->id);
}

static uint32_t any_model(const struct hostile *self, const struct shunt_ask *ask)
{
    return (uint32_t)(any(self, ask, 0) % shunt_model_count(ask->snapshot));
}

/* From a random one on the first model whose queue is empty, or is not; `but` is passed over. */
static uint32_t with_queue(const struct hostile *self, const struct shunt_ask *ask, int empty,
                           uint32_t but)
{
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    uint32_t models = shunt_model_count(ask->snapshot);
    uint32_t first = any_model(self, ask);
    for (uint32_t i = 0; queued && i < models; i++) {
        uint32_t model = (first + i) % models;
        if (model != but && (queued[model] == 0) == (empty != 0)) {
            return model;
        }
    }
    return SHUNT_NONE;
}

static uint32_t youngest(const struct shunt_ask *ask)
{
    const uint32_t *queued = shunt_u32(ask->snapshot, SHUNT_COL_QUEUE_LEN);
    const int64_t *head = shunt_i64(ask->snapshot, SHUNT_COL_HEAD_ARRIVAL_NS);
    uint32_t best = SHUNT_NONE;
    for (uint32_t i = 0; queued && head && i < shunt_model_count(ask->snapshot); i++) {
        if (queued[i] > 0 && (best == SHUNT_NONE || head[i] > head[best])) {
            best = i;
        }
    }
    return best;
}

static void add_victims(const struct hostile *self, const struct shunt_ask *ask,
                        struct shunt_decision *decision)
{
    uint64_t dice = any(self, ask, 1);
    decision->victim_count = (uint32_t)(dice % (SHUNT_VICTIM_MAX + 2));
    for (uint32_t i = 0; i < SHUNT_VICTIM_MAX; i++) {
        decision->victims[i] = (struct shunt_victim){(uint32_t)(dice >> (3 * i) & 7),
                                                     (uint32_t)(dice >> (32 + 3 * i) & 7)};
    }
}

static void add_secondary(const struct hostile *self, const struct shunt_ask *ask,
                          struct shunt_decision *decision)
{
    decision->secondary_count = SHUNT_SECONDARY_MAX;
    for (uint32_t i = 0; i < SHUNT_SECONDARY_MAX; i++) {
        uint64_t dice = any(self, ask, 2 + i);
        decision->secondary[i] =
            (struct shunt_secondary){SHUNT_PREFETCH + (uint32_t)(dice & 1),
                                     (uint32_t)(dice >> 8) % shunt_model_count(ask->snapshot),
                                     SHUNT_NONE, (uint32_t)(dice >> 40) % SHUNT_TIER_COUNT};
    }
}

static void add_noise(const struct hostile *self, const struct shunt_ask *ask,
                      struct shunt_decision *decision)
{
    uint64_t dice = any(self, ask, 20);
    decision->drain = dice & 3 ? decision->drain : SHUNT_DRAIN_REQUEUE;
    decision->flags |= dice >> 2 & 3 ? 0 : SHUNT_DECISION_GATED;
    decision->quantum_requests += dice >> 4 & 3 ? 0 : dice >> 6 & 3;
    decision->quantum_ns += dice >> 8 & 3 ? 0 : (int64_t)(dice >> 10 & 15) * 500000000;
    decision->min_residence_ns += dice >> 14 & 3 ? 0 : (int64_t)(dice >> 16 & 63) * 1000000000;
    decision->recheck_at_ns =
        dice >> 22 & 3 ? 0 : ask->now_ns + (int64_t)(dice >> 24 & 255) * 20000000;
}

static int goes(struct shunt_decision *decision, uint32_t model)
{
    return model == SHUNT_NONE ? shunt_stay(decision, SHUNT_REASON_CUSTOM)
                               : shunt_switch_to(decision, model, SHUNT_REASON_CUSTOM);
}

static int answer_of(struct hostile *self, const struct shunt_ask *ask,
                     struct shunt_decision *decision)
{
    struct shunt_turn turn = shunt_find_turn(ask);
    switch ((enum manner)self->manner) {
    case LEAVE:
        return goes(decision, shunt_pick(ask, &turn, SHUNT_PICK_CYCLIC));
    case LINGER:
        return shunt_linger(decision, INT64_MAX, SHUNT_REASON_CUSTOM);
    case STARVE:
        return goes(decision,
                    with_queue(self, ask, 0, self->target % shunt_model_count(ask->snapshot)));
    case PINGPONG:
        return goes(decision, (uint32_t)(self->turn % 2) % shunt_model_count(ask->snapshot));
    case QUANTUM:
        decision->quantum_requests = 1;
        return shunt_stay(decision, SHUNT_REASON_CUSTOM);
    case GATED:
        decision->flags = SHUNT_DECISION_GATED;
        return goes(decision, self->turn % 3 ? SHUNT_NONE : any_model(self, ask));
    case REVOKE:
        decision->recheck_at_ns = ask->now_ns + 50000000;
        return goes(decision, self->turn % 2 ? SHUNT_NONE : any_model(self, ask));
    case EMPTY:
        return goes(decision, with_queue(self, ask, 1, SHUNT_NONE));
    case VICTIMS:
        add_victims(self, ask, decision);
        return goes(decision, any_model(self, ask));
    case PREFETCH:
        add_secondary(self, ask, decision);
        return goes(decision, self->turn % 2 ? SHUNT_NONE : any_model(self, ask));
    case RETARGET:
        self->last = with_queue(self, ask, 1, self->last);
        decision->recheck_at_ns = ask->now_ns + 50000000;
        return goes(decision, self->last);
    case YOUNGEST:
        return goes(decision, youngest(ask));
    }
    return -1;
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    struct hostile *it = self;
    struct shunt_decision *decision = &answer->decisions[0];
    it->turn++;
    if (shunt_model_count(ask->snapshot) == 0) {
        return shunt_stay(decision, SHUNT_REASON_NONE);
    }
    int rc = answer_of(it, ask, decision);
    if (it->noise) {
        add_noise(it, ask, decision);
    }
    return rc;
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .create = create, .decide = decide};

SHUNT_POLICY_DEFINE("hostile", "1.0.0", "MIT", "Serves somebody badly, in one of many manners.", 0,
                    0, .ops = &ops, .params = params, .param_count = PARAM_COUNT);
