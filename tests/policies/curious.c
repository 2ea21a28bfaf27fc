/* Uses every member of the host table, also where it must not, and every hook; its answers and logs
 * tell a test what it saw. */
#include <shunt/shunt.h>

enum { FACTOR, PERIOD, MODE, PARAM_COUNT };

static const char *const modes[] = {"plain", "fancy"};
static const struct shunt_param_info params[PARAM_COUNT] = {
    SHUNT_DECLARE_REAL(1, "factor", SHUNT_PARAM_LIVE | SHUNT_PARAM_PER_MODEL, 1.5, 0, 10, "ratio",
                       "Reported by the dump."),
    SHUNT_DECLARE_DURATION(2, "period", SHUNT_PARAM_LIVE, 2.5, 0.5, 60, "Period of the tick."),
    SHUNT_DECLARE_ENUM(3, "mode", 0, 0, modes, "Fixed at create."),
};

struct curious {
    const struct shunt_host *host;
    uint32_t counter, gauge, histogram;
    uint32_t calls; /* of all hooks */
    uint32_t ticks;
    uint32_t stored;
    double factor;
};

static void param_set(void *self, const struct shunt_params *set)
{
    struct curious *it = self;
    it->factor = shunt_param_real(set, FACTOR, 0);
    (void)it->host->tick_set(it->host, shunt_param_integer(set, PERIOD, 0));
}

static int param_validate(void *self, const struct shunt_params *set, char *reason, size_t cap)
{
    (void)self;
    static const char text[] = "seven is a crowd";
    if (shunt_param_real(set, FACTOR, 0) != 7) {
        return 0;
    }
    for (size_t i = 0; i < sizeof text && i < cap; i++) {
        reason[i] = text[i];
    }
    return -1;
}

static int create(const struct shunt_host *host, const struct shunt_params *set, void **ret_self)
{
    struct curious *it = host->alloc(host, sizeof *it);
    if (!it || host->get_extension(host, SHUNT_EXT_ORDER) || !host->is_policy_thread(host)) {
        return -1;
    }
    it->host = host;
    const struct shunt_metric_def defs[] = {
        {sizeof defs[0], SHUNT_METRIC_COUNTER, "curious_total", "Decisions."},
        {sizeof defs[0], SHUNT_METRIC_GAUGE, "curious_level", "A level."},
        {sizeof defs[0], SHUNT_METRIC_HISTOGRAM, "curious_seconds", "A distribution."},
        {sizeof defs[0], SHUNT_METRIC_GAUGE, "curious_level", "Refused: taken."},
        {sizeof defs[0], SHUNT_METRIC_GAUGE, "Bad Name", "Refused: no name."}};
    it->counter = host->metric_define(host, &defs[0]);
    it->gauge = host->metric_define(host, &defs[1]);
    it->histogram = host->metric_define(host, &defs[2]);
    if (host->metric_define(host, &defs[3]) || host->metric_define(host, &defs[4])) {
        return -2;
    }
    if (host->timer_set(host, 3, host->now_ns(host) + 5) || !host->timer_set(host, 16, 1) ||
        !host->tick_set(host, 1)) {
        return -3;
    }
    param_set(it, set);
    *ret_self = it;
    return 0;
}

static void on_request(void *self, const struct shunt_request_event *event)
{
    (void)event;
    ((struct curious *)self)->calls++;
}

static void on_switch(void *self, const struct shunt_switch_event *event)
{
    (void)event;
    ((struct curious *)self)->calls++;
}

static void on_timer(void *self, uint32_t id, int64_t t_ns)
{
    struct curious *it = self;
    (void)t_ns;
    it->calls++;
    it->host->timer_cancel(it->host, id);
}

static void on_tick(void *self, int64_t t_ns)
{
    struct curious *it = self;
    it->ticks++;
    if (t_ns != it->host->now_ns(it->host)) {
        it->host->log(it->host, SHUNT_LOG_HOST_MISBEHAVING, 1, "time moved within a callback");
    }
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    struct curious *it = self;
    const struct shunt_host *host = it->host;
    host->metric_update(host, it->counter, 1);
    host->metric_update(host, it->gauge, it->factor);
    host->metric_update(host, it->histogram, 0.3);
    host->metric_update(host, 99, 1);
    host->log(host, SHUNT_LOG_INFO, 42, "asked\nagain");
    if (host->alloc(host, 16)) { /* not legal here: counted as misbehaviour */
        return -1;
    }
    for (uint32_t i = 0; i < answer->score_count; i++) {
        answer->scores[i] = host->exp((double)i) + host->random_unit(host, 1, ask->id + i);
    }
    shunt_text(&answer->decisions[0], "curious");
    answer->decisions[0].recheck_at_ns = ask->now_ns + 1000000000;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_CUSTOM + 1);
}

static int param_get(void *self, uint32_t index, uint32_t model, double *ret_value)
{
    (void)model;
    if (index != FACTOR) {
        return -1;
    }
    *ret_value = ((struct curious *)self)->factor;
    return 0;
}

static int state_save(void *self, const struct shunt_ostream *stream)
{
    struct curious *it = self;
    return stream->write(stream, &it->calls, sizeof it->calls);
}

static int state_load(void *self, const struct shunt_istream *stream)
{
    struct curious *it = self;
    uint32_t calls = 0;
    if (stream->schema != 3 || shunt_read_all(stream, &calls, sizeof calls)) {
        return -1;
    }
    it->calls = calls;
    return 0;
}

static int explain(void *self, uint64_t decision_id, char *text, size_t cap)
{
    (void)self;
    if (decision_id == 0 || cap < 8) {
        return -1;
    }
    for (uint32_t i = 0; i < 8; i++) {
        text[i] = "because"[i];
    }
    return 7;
}

static void dump(void *self, const struct shunt_ostream *stream)
{
    (void)self;
    while (stream->write(stream, "endless ", 8) == 0) {
    }
}

static const void *get_extension(void *self, const char *id)
{
    static const char order[] = "order";
    (void)self;
    return id[6] == 'o' && id[7] == 'r' ? order : NULL;
}

static const struct shunt_policy_ops ops = {
    .size = sizeof ops,
    .create = create,
    .on_arrival = on_request,
    .on_dispatch = on_request,
    .on_complete = on_request,
    .on_cancel = on_request,
    .on_switch_start = on_switch,
    .on_switch_done = on_switch,
    .on_switch_failed = on_switch,
    .on_timer = on_timer,
    .on_tick = on_tick,
    .decide = decide,
    .param_validate = param_validate,
    .param_set = param_set,
    .param_get = param_get,
    .state_save = state_save,
    .state_load = state_load,
    .explain = explain,
    .dump = dump,
    .get_extension = get_extension,
};

SHUNT_POLICY_DEFINE("curious", "1.0.0", "MIT", "Try everything.", 0, 3, .ops = &ops,
                    .params = params, .param_count = PARAM_COUNT);
