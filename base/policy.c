/*
 * A policy instance: the SDK's host table on one side, core's notifications on the other.
 *
 * Every call into the policy goes through enter() and leave(), which freeze the time and say which
 * calls of the host table are legal meanwhile; a call from elsewhere is refused and counted.
 */
#include "base/policy.h"

#include "base/fail.h"
#include "core/fmath.h"
#include "core/rng.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which part of the host table is legal: [policy] and [create] of shunt/host.h. */
enum call_mode { MODE_NONE = 0, MODE_POLICY = 1, MODE_CREATE = 2 };

static const char *const extension_ids[] = {
    SHUNT_EXT_ADMISSION, SHUNT_EXT_ORDER, SHUNT_EXT_ROUTE, SHUNT_EXT_FAIRNESS, SHUNT_EXT_SATURATION,
    SHUNT_EXT_MIGRATE,   SHUNT_EXT_SCALE, SHUNT_EXT_KV,    SHUNT_EXT_BATCH,    SHUNT_EXT_PREDICT,
};
enum { EXTENSION_COUNT = sizeof extension_ids / sizeof extension_ids[0] };

const double policy_metric_bounds[POLICY_METRIC_BUCKETS] = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,  1,
    2.5,   5,      10,    25,   50,    100,  250, 500,  1000,
};

/* A block of the arena: memory follows. */
struct block {
    struct block *next;
    uint64_t padding; /* keeps what follows aligned to 16 */
};

struct policy {
    struct shunt_host host; /* first: the policy hands its address back */
    const struct plugin *plugin;
    void *self;
    struct params *params;
    uint64_t seed;

    enum call_mode mode;
    const char *thread; /* this_thread() of the call; valid while mode is not NONE */
    int64_t now_ns;

    struct block *blocks;
    size_t arena_bytes, arena_bytes_max;
    uint32_t allocs, alloc_fail_at;

    uint32_t timer_pending; /* bit i: timer_at_ns[i] is a request not taken yet */
    int64_t timer_at_ns[POLICY_TIMERS];

    void (*log)(void *ctx, uint32_t level, uint32_t code, const char *text);
    void *log_ctx;
    int64_t log_filled_ns; /* when the bucket had log_tokens last */
    uint32_t log_tokens;
    uint64_t log_lines, log_dropped;

    uint64_t misbehaviour;
    const char *misbehaviour_last;

    uint32_t metric_count;
    struct policy_metric metric[POLICY_METRICS_MAX];
    const void *extension[EXTENSION_COUNT];

    struct shunt_decision decision;
    struct shunt_answer answer;
    double *scores;
    uint32_t score_count;
};

/* ------------------------------------------------------------------ frame of a call */

/* An address that no other living thread has. */
static const char *this_thread(void)
{
    static _Thread_local char mark;
    return &mark;
}

static void enter(struct policy *policy, enum call_mode mode, int64_t now_ns)
{
    assert(policy->mode == MODE_NONE);
    policy->mode = mode;
    policy->thread = this_thread();
    policy->now_ns = now_ns;
}

static void leave(struct policy *policy)
{
    assert(policy->mode != MODE_NONE);
    policy->mode = MODE_NONE;
}

/* The instance behind a host table. The table is handed out as constant; the instance is not. */
static struct policy *of(const struct shunt_host *host)
{
    return host->ctx;
}

/* Whether a call is legal here; counts it if not. */
static bool legal(struct policy *policy, enum call_mode needed, const char *function)
{
    if (policy->mode >= needed && policy->thread == this_thread()) {
        return true;
    }
    policy->misbehaviour++;
    policy->misbehaviour_last = function;
    return false;
}

/* ------------------------------------------------------------------ host table */

static int64_t host_now_ns(const struct shunt_host *host)
{
    struct policy *policy = of(host);
    (void)legal(policy, MODE_POLICY, "now_ns");
    return policy->now_ns;
}

static void request_timer(struct policy *policy, uint32_t id, int64_t at_ns)
{
    policy->timer_at_ns[id] = at_ns;
    policy->timer_pending |= UINT32_C(1) << id;
}

static int host_timer_set(const struct shunt_host *host, uint32_t id, int64_t at_ns)
{
    struct policy *policy = of(host);
    if (!legal(policy, MODE_POLICY, "timer_set") || id >= CORE_TIMER_TICK || at_ns < 0) {
        return -1;
    }
    request_timer(policy, id, at_ns);
    return 0;
}

static void host_timer_cancel(const struct shunt_host *host, uint32_t id)
{
    struct policy *policy = of(host);
    if (legal(policy, MODE_POLICY, "timer_cancel") && id < CORE_TIMER_TICK) {
        request_timer(policy, id, CORE_NEVER);
    }
}

static int host_tick_set(const struct shunt_host *host, int64_t period_ns)
{
    struct policy *policy = of(host);
    if (!legal(policy, MODE_POLICY, "tick_set") ||
        (period_ns != 0 && period_ns < CORE_NS_PER_S / 1000)) {
        return -1;
    }
    request_timer(policy, CORE_TIMER_TICK, period_ns == 0 ? CORE_NEVER : period_ns);
    return 0;
}

static uint64_t host_random_u64(const struct shunt_host *host, uint64_t stream, uint64_t key)
{
    struct policy *policy = of(host);
    return legal(policy, MODE_POLICY, "random_u64") ? core_random(policy->seed, stream, key, 0) : 0;
}

static double host_random_unit(const struct shunt_host *host, uint64_t stream, uint64_t key)
{
    return core_random_unit(host_random_u64(host, stream, key));
}

/* One token a second, at most POLICY_LOG_BURST of them. */
static bool take_log_token(struct policy *policy)
{
    int64_t elapsed = policy->now_ns - policy->log_filled_ns;
    int64_t earned = elapsed > 0 ? elapsed / CORE_NS_PER_S : 0;
    if (earned >= POLICY_LOG_BURST) {
        policy->log_tokens = POLICY_LOG_BURST;
        policy->log_filled_ns = policy->now_ns;
    } else {
        policy->log_tokens += (uint32_t)earned;
        policy->log_tokens =
            policy->log_tokens < POLICY_LOG_BURST ? policy->log_tokens : POLICY_LOG_BURST;
        policy->log_filled_ns += earned * CORE_NS_PER_S;
    }
    if (policy->log_tokens == 0) {
        policy->log_dropped++;
        return false;
    }
    policy->log_tokens--;
    return true;
}

static void host_log(const struct shunt_host *host, uint32_t level, uint32_t code, const char *text)
{
    struct policy *policy = of(host);
    if (!legal(policy, MODE_POLICY, "log") || !text || !take_log_token(policy)) {
        return;
    }
    char line[POLICY_LOG_BYTES_MAX + 1];
    size_t bytes = strnlen(text, POLICY_LOG_BYTES_MAX);
    for (size_t i = 0; i < bytes; i++) {
        bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
        line[i] = control ? ' ' : text[i];
    }
    line[bytes] = '\0';
    policy->log_lines++;
    if (policy->log) {
        policy->log(policy->log_ctx, level <= SHUNT_LOG_HOST_MISBEHAVING ? level : SHUNT_LOG_INFO,
                    code, line);
    }
}

static bool metric_name_is_valid(const char *name)
{
    return name && name[0] >= 'a' && name[0] <= 'z' &&
           strnlen(name, POLICY_METRIC_NAME_MAX + 1) <= POLICY_METRIC_NAME_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static uint32_t host_metric_define(const struct shunt_host *host,
                                   const struct shunt_metric_def *def)
{
    struct policy *policy = of(host);
    if (!legal(policy, MODE_CREATE, "metric_define") || !def ||
        !SHUNT_HAS(def, struct shunt_metric_def, help) || !metric_name_is_valid(def->name) ||
        def->kind < SHUNT_METRIC_COUNTER || def->kind > SHUNT_METRIC_HISTOGRAM ||
        policy->metric_count == POLICY_METRICS_MAX) {
        return 0;
    }
    for (uint32_t i = 0; i < policy->metric_count; i++) {
        if (strcmp(policy->metric[i].name, def->name) == 0) {
            return 0;
        }
    }
    struct policy_metric *metric = &policy->metric[policy->metric_count++];
    metric->kind = def->kind;
    (void)snprintf(metric->name, sizeof metric->name, "%s", def->name);
    (void)snprintf(metric->help, sizeof metric->help, "%s", def->help ? def->help : "");
    for (char *c = metric->help; *c; c++) {
        *c = (unsigned char)*c < 0x20 ? ' ' : *c;
    }
    return policy->metric_count; /* handle: index + 1 */
}

static void host_metric_update(const struct shunt_host *host, uint32_t handle, double value)
{
    struct policy *policy = of(host);
    if (!legal(policy, MODE_POLICY, "metric_update") || handle == 0 ||
        handle > policy->metric_count || isnan(value)) {
        return;
    }
    struct policy_metric *metric = &policy->metric[handle - 1];
    if (metric->kind == SHUNT_METRIC_GAUGE) {
        metric->value = value;
    } else if (metric->kind == SHUNT_METRIC_COUNTER) {
        metric->value += value > 0 ? value : 0;
    } else {
        uint32_t i = 0;
        while (i < POLICY_METRIC_BUCKETS && value > policy_metric_bounds[i]) {
            i++;
        }
        metric->bucket[i]++;
        metric->count++;
        metric->sum += value;
    }
}

static void *host_alloc(const struct shunt_host *host, size_t bytes)
{
    struct policy *policy = of(host);
    if (!legal(policy, MODE_CREATE, "alloc")) {
        return NULL;
    }
    policy->allocs++;
    size_t left = policy->arena_bytes_max - policy->arena_bytes;
    if (bytes > left || policy->allocs == policy->alloc_fail_at) {
        return NULL;
    }
    size_t rounded = (bytes + 15) & ~(size_t)15;
    rounded = rounded > 0 ? rounded : 16;
    struct block *block = rounded <= left ? calloc(1, sizeof *block + rounded) : NULL;
    if (!block) {
        return NULL;
    }
    block->next = policy->blocks;
    policy->blocks = block;
    policy->arena_bytes += rounded;
    return block + 1;
}

static const void *host_get_extension(const struct shunt_host *host, const char *id)
{
    (void)id; /* ABI 1.0 reserves the ids; this host offers none */
    (void)legal(of(host), MODE_CREATE, "get_extension");
    return NULL;
}

static int host_is_policy_thread(const struct shunt_host *host)
{
    const struct policy *policy = of(host);
    return policy->mode != MODE_NONE && policy->thread == this_thread();
}

/* ------------------------------------------------------------------ life */

/* The seed of this policy's random numbers: the run's seed and the policy's id. */
static uint64_t keyed_seed(uint64_t seed, const char *id)
{
    for (; *id; id++) {
        seed = core_mix64(seed ^ (unsigned char)*id);
    }
    return seed;
}

static void fill_host(struct policy *policy)
{
    policy->host = (struct shunt_host){
        .size = sizeof policy->host,
        .abi_minor = policy->plugin->abi_minor,
        .ctx = policy,
        .now_ns = host_now_ns,
        .timer_set = host_timer_set,
        .timer_cancel = host_timer_cancel,
        .tick_set = host_tick_set,
        .random_u64 = host_random_u64,
        .random_unit = host_random_unit,
        .log = host_log,
        .metric_define = host_metric_define,
        .metric_update = host_metric_update,
        .alloc = host_alloc,
        .exp = core_exp,
        .log_e = core_log,
        .pow = core_pow,
        .sqrt = core_sqrt,
        .get_extension = host_get_extension,
        .is_policy_thread = host_is_policy_thread,
    };
}

/* Frees an instance without telling the policy. */
static void free_policy(struct policy *policy)
{
    while (policy->blocks) {
        struct block *next = policy->blocks->next;
        free(policy->blocks);
        policy->blocks = next;
    }
    free(policy->scores);
    free(policy);
}

static void call_exit(struct policy *policy, uint32_t kind, int32_t code, const char *message,
                      int64_t now_ns)
{
    if (!policy->plugin->ops.exit) {
        return;
    }
    const struct shunt_exit_info info = {
        .size = sizeof info, .kind = kind, .code = code, .message = message ? message : ""};
    enter(policy, MODE_POLICY, now_ns);
    policy->plugin->ops.exit(policy->self, &info);
    leave(policy);
}

int policy_create(const struct policy_options *options, struct params *params,
                  struct policy **ret_policy, char *err, size_t err_size)
{
    struct policy *policy = calloc(1, sizeof *policy);
    if (!policy) {
        return fail(-ENOMEM, err, err_size, "out of memory");
    }
    const struct shunt_policy_ops *ops = &options->plugin->ops;
    policy->plugin = options->plugin;
    policy->seed = keyed_seed(options->seed, options->plugin->note.id);
    policy->arena_bytes_max =
        options->arena_bytes_max > 0 ? options->arena_bytes_max : POLICY_ARENA_BYTES_DEFAULT;
    policy->alloc_fail_at = options->alloc_fail_at;
    policy->log = options->log;
    policy->log_ctx = options->ctx;
    policy->log_tokens = POLICY_LOG_BURST;
    policy->log_filled_ns = options->now_ns;
    fill_host(policy);
    if (ops->create) {
        params_mark_changed(params);
        enter(policy, MODE_CREATE, options->now_ns);
        int rc = ops->create(&policy->host, params_view(params), &policy->self);
        leave(policy);
        if (rc < 0) {
            policy->self = NULL;
            call_exit(policy, SHUNT_EXIT_CREATE_FAILED, rc, "create failed", options->now_ns);
            free_policy(policy);
            return fail(-EIO, err, err_size, "policy %s: its create failed with %d",
                        options->plugin->note.id, rc);
        }
    }
    for (uint32_t i = 0; ops->get_extension && i < EXTENSION_COUNT; i++) {
        enter(policy, MODE_CREATE, options->now_ns);
        policy->extension[i] = ops->get_extension(policy->self, extension_ids[i]);
        leave(policy);
    }
    policy->params = params;
    *ret_policy = policy;
    return 0;
}

void policy_destroy(struct policy *policy, uint32_t exit_kind, int32_t code, const char *message,
                    int64_t now_ns)
{
    if (!policy) {
        return;
    }
    call_exit(policy, exit_kind, code, message, now_ns);
    if (policy->plugin->ops.destroy) {
        enter(policy, MODE_POLICY, now_ns);
        policy->plugin->ops.destroy(policy->self);
        leave(policy);
    }
    params_destroy(policy->params);
    free_policy(policy);
}

const struct plugin *policy_plugin(const struct policy *policy)
{
    return policy->plugin;
}

const void *policy_extension(const struct policy *policy, const char *id)
{
    for (uint32_t i = 0; i < EXTENSION_COUNT; i++) {
        if (strcmp(extension_ids[i], id) == 0) {
            return policy->extension[i];
        }
    }
    return NULL;
}

const void *policy_probe_extension(struct policy *policy, const char *id, int64_t now_ns)
{
    if (!policy->plugin->ops.get_extension) {
        return NULL;
    }
    enter(policy, MODE_POLICY, now_ns);
    const void *extension = policy->plugin->ops.get_extension(policy->self, id);
    leave(policy);
    return extension;
}

/* ------------------------------------------------------------------ events */

bool policy_has_hook(const struct policy *policy, uint32_t hook)
{
    const struct shunt_policy_ops *ops = &policy->plugin->ops;
    switch ((enum core_hook)hook) {
    case CORE_HOOK_LAYOUT:
        return true; /* the instance itself needs the number of models */
    case CORE_HOOK_RESYNC:
        return ops->on_resync != NULL;
    case CORE_HOOK_ARRIVAL:
        return ops->on_arrival != NULL;
    case CORE_HOOK_DISPATCH:
        return ops->on_dispatch != NULL;
    case CORE_HOOK_COMPLETE:
        return ops->on_complete != NULL;
    case CORE_HOOK_CANCEL:
        return ops->on_cancel != NULL;
    case CORE_HOOK_SWITCH_START:
        return ops->on_switch_start != NULL;
    case CORE_HOOK_SWITCH_DONE:
        return ops->on_switch_done != NULL;
    case CORE_HOOK_SWITCH_FAILED:
        return ops->on_switch_failed != NULL;
    case CORE_HOOK_TIMER:
        return ops->on_timer != NULL;
    case CORE_HOOK_TICK:
        return ops->on_tick != NULL;
    case CORE_HOOK_COUNT:
        break;
    }
    return false;
}

static bool has_per_model(const struct params_schema *schema)
{
    for (uint32_t i = 0; i < schema->count; i++) {
        if (schema->info[i].flags & SHUNT_PARAM_PER_MODEL) {
            return true;
        }
    }
    return false;
}

static int notify_layout(struct policy *policy, int64_t t_ns, const struct shunt_snapshot *snapshot)
{
    const struct shunt_policy_ops *ops = &policy->plugin->ops;
    uint32_t models = shunt_model_count(snapshot);
    if (models > policy->score_count) {
        double *scores = realloc(policy->scores, models * sizeof *scores);
        if (!scores) {
            return -ENOMEM;
        }
        policy->scores = scores;
    }
    policy->score_count = models;
    if (ops->models_changed) {
        enter(policy, MODE_CREATE, t_ns);
        int rc = ops->models_changed(policy->self, snapshot);
        leave(policy);
        if (rc < 0) {
            return -EIO;
        }
    }
    if (ops->param_set && has_per_model(&policy->plugin->schema)) {
        enter(policy, MODE_POLICY, t_ns);
        ops->param_set(policy->self, params_view(policy->params));
        leave(policy);
    }
    return 0;
}

int policy_notify(struct policy *policy, const struct core_act_notify *notify, int64_t t_ns,
                  const struct shunt_snapshot *snapshot)
{
    const struct shunt_policy_ops *ops = &policy->plugin->ops;
    const struct shunt_request_event *request = &notify->event.request;
    const struct shunt_switch_event *change = &notify->event.change;
    if (notify->hook == CORE_HOOK_LAYOUT) {
        return notify_layout(policy, t_ns, snapshot);
    }
    if (!policy_has_hook(policy, notify->hook)) {
        return 0;
    }
    enter(policy, notify->hook == CORE_HOOK_RESYNC ? MODE_CREATE : MODE_POLICY, t_ns);
    switch ((enum core_hook)notify->hook) {
    case CORE_HOOK_RESYNC:
        ops->on_resync(policy->self, snapshot);
        break;
    case CORE_HOOK_ARRIVAL:
        ops->on_arrival(policy->self, request);
        break;
    case CORE_HOOK_DISPATCH:
        ops->on_dispatch(policy->self, request);
        break;
    case CORE_HOOK_COMPLETE:
        ops->on_complete(policy->self, request);
        break;
    case CORE_HOOK_CANCEL:
        ops->on_cancel(policy->self, request);
        break;
    case CORE_HOOK_SWITCH_START:
        ops->on_switch_start(policy->self, change);
        break;
    case CORE_HOOK_SWITCH_DONE:
        ops->on_switch_done(policy->self, change);
        break;
    case CORE_HOOK_SWITCH_FAILED:
        ops->on_switch_failed(policy->self, change);
        break;
    case CORE_HOOK_TIMER:
        ops->on_timer(policy->self, notify->event.timer, t_ns);
        break;
    case CORE_HOOK_TICK:
        ops->on_tick(policy->self, t_ns);
        break;
    case CORE_HOOK_LAYOUT:
    case CORE_HOOK_COUNT:
        break;
    }
    leave(policy);
    return 0;
}

int policy_decide(struct policy *policy, const struct shunt_ask *ask,
                  const struct shunt_answer **ret_answer)
{
    struct shunt_decision *decision = &policy->decision;
    memset(decision, 0, sizeof *decision);
    decision->size = sizeof *decision;
    decision->device = ask->device;
    decision->instance = SHUNT_NONE;
    decision->generation = ask->generation;
    for (uint32_t i = 0; i < policy->score_count; i++) {
        policy->scores[i] = (double)NAN;
    }
    policy->answer = (struct shunt_answer){
        .size = sizeof policy->answer,
        .stride = sizeof *decision,
        .capacity = 1,
        .count = 1,
        .decisions = decision,
        .scores = policy->scores,
        .score_count = policy->score_count,
    };
    enter(policy, MODE_POLICY, ask->now_ns);
    int rc = policy->plugin->ops.decide(policy->self, ask, &policy->answer);
    leave(policy);
    if (rc < 0 || policy->answer.count != 1 || policy->answer.decisions != decision ||
        policy->answer.scores != policy->scores) {
        return -EIO;
    }
    decision->size = sizeof *decision;
    decision->device = ask->device;
    decision->generation = ask->generation;
    policy->answer.score_count = policy->score_count;
    *ret_answer = &policy->answer;
    return 0;
}

bool policy_take_timer(struct policy *policy, uint32_t *ret_id, int64_t *ret_at_ns)
{
    if (policy->timer_pending == 0) {
        return false;
    }
    uint32_t id = 0;
    while (!(policy->timer_pending >> id & 1)) {
        id++;
    }
    policy->timer_pending &= ~(UINT32_C(1) << id);
    *ret_id = id;
    *ret_at_ns = policy->timer_at_ns[id];
    return true;
}

/* ------------------------------------------------------------------ parameters */

const struct params *policy_params(const struct policy *policy)
{
    return policy->params;
}

/* Lets the policy look at `next` and then commits it; takes it over on success. */
static int commit_params(struct policy *policy, struct params *next, int64_t now_ns, char *err,
                         size_t err_size)
{
    const struct shunt_policy_ops *ops = &policy->plugin->ops;
    if (ops->param_validate) {
        char reason[256] = "";
        enter(policy, MODE_POLICY, now_ns);
        int rc = ops->param_validate(policy->self, params_view(next), reason, sizeof reason);
        leave(policy);
        reason[sizeof reason - 1] = '\0';
        if (rc < 0) {
            return fail(-EINVAL, err, err_size, "policy %s refuses these parameters: %s",
                        policy->plugin->note.id, reason[0] ? reason : "no reason given");
        }
    }
    if (ops->param_set) {
        enter(policy, MODE_POLICY, now_ns);
        ops->param_set(policy->self, params_view(next));
        leave(policy);
    }
    params_destroy(policy->params);
    policy->params = next;
    return 0;
}

int policy_set_params(struct policy *policy, const struct param_assignment *assignments,
                      size_t count, enum param_origin origin, int64_t now_ns, char *err,
                      size_t err_size)
{
    struct params *next = NULL;
    int rc = params_clone(policy->params, &next);
    if (rc) {
        return fail(rc, err, err_size, "out of memory");
    }
    rc = params_apply(next, assignments, count, origin, true, err, err_size);
    if (rc == 0) {
        rc = commit_params(policy, next, now_ns, err, err_size);
    }
    if (rc) {
        params_destroy(next);
    }
    return rc;
}

int policy_replace_params(struct policy *policy, struct params *params, int64_t now_ns, char *err,
                          size_t err_size)
{
    int rc = params_compare(params, policy->params, true, err, err_size);
    return rc ? rc : commit_params(policy, params, now_ns, err, err_size);
}

int policy_set_models(struct policy *policy, const char *const *models, uint32_t model_count)
{
    return params_set_models(policy->params, models, model_count);
}

int policy_param_get(struct policy *policy, uint32_t index, uint32_t model, int64_t now_ns,
                     double *ret_value)
{
    if (!policy->plugin->ops.param_get) {
        return -ENOTSUP;
    }
    double value = 0;
    enter(policy, MODE_POLICY, now_ns);
    int rc = policy->plugin->ops.param_get(policy->self, index, model, &value);
    leave(policy);
    if (rc < 0) {
        return -ENOTSUP;
    }
    *ret_value = value;
    return 0;
}

/* ------------------------------------------------------------------ state */

struct sink {
    char *bytes;
    size_t size, room, limit;
    bool full, no_memory;
};

static int sink_write(const struct shunt_ostream *stream, const void *data, size_t bytes)
{
    struct sink *sink = stream->ctx;
    if (sink->full || sink->no_memory) {
        return -1;
    }
    if (bytes > sink->limit - sink->size) {
        sink->full = true;
        return -1;
    }
    if (bytes > sink->room - sink->size) {
        size_t room = sink->room * 2 > sink->size + bytes ? sink->room * 2 : sink->size + bytes;
        char *grown = realloc(sink->bytes, room);
        if (!grown) {
            sink->no_memory = true;
            return -1;
        }
        sink->bytes = grown;
        sink->room = room;
    }
    if (bytes > 0) {
        memcpy(sink->bytes + sink->size, data, bytes);
    }
    sink->size += bytes;
    return 0;
}

int policy_state_save(struct policy *policy, int64_t now_ns, void **ret_bytes, size_t *ret_size)
{
    if (!policy->plugin->ops.state_save) {
        return -ENOTSUP;
    }
    struct sink sink = {.limit = POLICY_STATE_BYTES_MAX};
    const struct shunt_ostream stream = {.size = sizeof stream, .ctx = &sink, .write = sink_write};
    enter(policy, MODE_POLICY, now_ns);
    int rc = policy->plugin->ops.state_save(policy->self, &stream);
    leave(policy);
    if (rc < 0 || sink.full || sink.no_memory) {
        free(sink.bytes);
        return sink.no_memory ? -ENOMEM : -EIO;
    }
    *ret_bytes = sink.bytes;
    *ret_size = sink.size;
    return 0;
}

struct source {
    const char *bytes;
    size_t size, at, piece_max;
};

static int64_t source_read(const struct shunt_istream *stream, void *data, size_t bytes)
{
    struct source *source = stream->ctx;
    size_t left = source->size - source->at;
    size_t piece = bytes < left ? bytes : left;
    piece = source->piece_max > 0 && piece > source->piece_max ? source->piece_max : piece;
    if (piece > 0) {
        memcpy(data, source->bytes + source->at, piece);
    }
    source->at += piece;
    return (int64_t)piece;
}

int policy_state_load(struct policy *policy, uint32_t schema, const void *bytes, size_t size,
                      size_t piece_max, int64_t now_ns)
{
    if (!policy->plugin->ops.state_load) {
        return -ENOTSUP;
    }
    struct source source = {.bytes = bytes, .size = size, .piece_max = piece_max};
    const struct shunt_istream stream = {
        .size = sizeof stream, .schema = schema, .ctx = &source, .read = source_read};
    enter(policy, MODE_CREATE, now_ns);
    int rc = policy->plugin->ops.state_load(policy->self, &stream);
    leave(policy);
    return rc < 0 ? -EIO : 0;
}

int policy_explain(struct policy *policy, uint64_t decision_id, int64_t now_ns, char *text,
                   size_t size)
{
    if (!policy->plugin->ops.explain || size == 0) {
        return -ENOTSUP;
    }
    text[0] = '\0';
    enter(policy, MODE_POLICY, now_ns);
    int rc = policy->plugin->ops.explain(policy->self, decision_id, text, size);
    leave(policy);
    text[size - 1] = '\0';
    return rc < 0 ? -ENOENT : 0;
}

int policy_dump(struct policy *policy, int64_t now_ns, char **ret_text)
{
    if (!policy->plugin->ops.dump) {
        return -ENOTSUP;
    }
    struct sink sink = {.limit = POLICY_DUMP_BYTES_MAX};
    const struct shunt_ostream stream = {.size = sizeof stream, .ctx = &sink, .write = sink_write};
    enter(policy, MODE_POLICY, now_ns);
    policy->plugin->ops.dump(policy->self, &stream);
    leave(policy);
    sink.limit++;
    sink.full = false;
    if (sink.no_memory || sink_write(&stream, "", 1) != 0) {
        free(sink.bytes);
        return -ENOMEM;
    }
    *ret_text = sink.bytes;
    return 0;
}

/* ------------------------------------------------------------------ counts */

uint32_t policy_metric_count(const struct policy *policy)
{
    return policy->metric_count;
}

const struct policy_metric *policy_metric(const struct policy *policy, uint32_t index)
{
    return index < policy->metric_count ? &policy->metric[index] : NULL;
}

void policy_usage(const struct policy *policy, struct policy_usage *ret_usage)
{
    *ret_usage = (struct policy_usage){
        .arena_bytes = policy->arena_bytes,
        .allocs = policy->allocs,
        .log_lines = policy->log_lines,
        .log_dropped = policy->log_dropped,
        .misbehaviour = policy->misbehaviour,
        .misbehaviour_last = policy->misbehaviour_last,
    };
}
