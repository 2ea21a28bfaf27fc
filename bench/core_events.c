/*
 * Events per second of core, drive and a policy in virtual time, on one core of the machine: the
 * share of a simulation that is not the simulator's own.
 *
 *     core_events [-n EVENTS] [-c CASE] [-x] POLICY.so|builtin...
 *
 * Two cases: two serial queues (one request at a time, load 0.6, switches of 0.1 s either way) and
 * twenty models in batches of up to 32. Guard and assertions are on. Events are arrivals,
 * completions and switch steps; the driver around is a heap of the next events and a table of
 * exponential draws. -x prints a hash over all actions beside, for comparing two builds (it takes
 * time of its own), -c runs only case 0 or 1. Prints a Markdown table; its times are those of the
 * fastest tenth of a run, because other work on the machine only adds.
 */
#include "base/drive.h"
#include "base/random.h"
#include "core/fmath.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MODELS_MAX = 20, DRAWS = 1 << 16, HEAP_MAX = 4096, QUEUE_MAX = 100000, SLICES = 10 };

struct scenario {
    const char *name;
    uint32_t models;
    uint32_t concurrency;
    int64_t gap_ns;     /* mean time between two arrivals of all models together */
    int64_t service_ns; /* mean time of one request in its engine */
    int64_t step_ns;    /* time of an in step; out steps and probes take none */
};

static const struct scenario scenarios[] = {
    {"two serial queues", 2, 1, CORE_NS_PER_S * 10 / 6, CORE_NS_PER_S, CORE_NS_PER_S / 10},
    {"twenty in batches", 20, 32, CORE_NS_PER_S / 4, CORE_NS_PER_S, CORE_NS_PER_S * 2},
};

/* Completions come before arrivals of the same instant: the order of core/core.h. */
enum event_kind { EVENT_COMPLETE = 0, EVENT_STEP = 1, EVENT_ARRIVAL = 2 };

struct event {
    int64_t t_ns;
    uint64_t id; /* request or switch */
    uint32_t kind;
    uint32_t index; /* model or instance */
    uint32_t step;
    uint32_t tier;
};

struct bench {
    const struct scenario *scenario;
    struct drive *drive;
    int64_t now_ns;
    uint64_t events, draws, requests, switches;
    uint64_t hash;
    bool hashing;
    struct event heap[HEAP_MAX];
    uint32_t heap_len;
};

static double exponential[DRAWS];

static void fail(const char *what)
{
    (void)fprintf(stderr, "core_events: %s\n", what);
    exit(1);
}

/* ------------------------------------------------------------------ events to come */

static bool before(const struct event *a, const struct event *b)
{
    return a->t_ns != b->t_ns ? a->t_ns < b->t_ns : a->kind < b->kind;
}

static void push(struct bench *bench, struct event event)
{
    if (bench->heap_len == HEAP_MAX) {
        fail("more events under way than the driver has room for");
    }
    uint32_t at = bench->heap_len++;
    for (; at > 0 && before(&event, &bench->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        bench->heap[at] = bench->heap[(at - 1) / 2];
    }
    bench->heap[at] = event;
}

static struct event pop(struct bench *bench)
{
    struct event top = bench->heap[0];
    struct event last = bench->heap[--bench->heap_len];
    uint32_t at = 0;
    for (uint32_t child = 1; child < bench->heap_len; child = 2 * at + 1) {
        child +=
            child + 1 < bench->heap_len && before(&bench->heap[child + 1], &bench->heap[child]);
        if (!before(&bench->heap[child], &last)) {
            break;
        }
        bench->heap[at] = bench->heap[child];
        at = child;
    }
    bench->heap[at] = last;
    return top;
}

static int64_t draw(struct bench *bench, int64_t mean_ns)
{
    return 1 + (int64_t)(exponential[bench->draws++ % DRAWS] * (double)mean_ns);
}

/* ------------------------------------------------------------------ the world around the core */

static void mix(struct bench *bench, uint64_t value)
{
    bench->hash = core_mix64(bench->hash ^ value);
}

static void hash_action(struct bench *bench, const struct core_action *action)
{
    mix(bench, (uint64_t)action->t_ns << 4 | action->kind);
    if (action->kind == CORE_ACT_ACCEPT) {
        mix(bench, action->u.accept.request);
        mix(bench, (uint64_t)action->u.accept.eta_ns);
    } else if (action->kind == CORE_ACT_DISPATCH) {
        mix(bench, action->u.dispatch.request);
        for (uint32_t i = 0; i < CORE_WAIT_COUNT; i++) {
            mix(bench, (uint64_t)action->u.dispatch.wait_ns[i]);
        }
    } else if (action->kind == CORE_ACT_STEP) {
        mix(bench, action->u.step.switch_id << 8 | action->u.step.instance);
        mix(bench, action->u.step.to_tier << 4 | action->u.step.step);
    } else if (action->kind == CORE_ACT_RECORD) {
        mix(bench, action->u.record.kind);
        if (action->u.record.kind == CORE_REC_DECISION) {
            mix(bench,
                action->u.record.u.decision.ask_id << 4 | action->u.record.u.decision.verdict);
            mix(bench, (uint64_t)action->u.record.u.decision.why << 32 |
                           action->u.record.u.decision.reason);
        } else if (action->u.record.kind == CORE_REC_VISIT) {
            mix(bench, (uint64_t)action->u.record.u.visit.gap_ns);
            mix(bench, (uint64_t)action->u.record.u.visit.bound_ns);
        }
    }
}

static void on_action(void *ctx, const struct core_action *action)
{
    struct bench *bench = ctx;
    const struct scenario *s = bench->scenario;
    if (bench->hashing) {
        hash_action(bench, action);
    }
    if (action->kind == CORE_ACT_DISPATCH) {
        push(bench, (struct event){.t_ns = bench->now_ns + draw(bench, s->service_ns),
                                   .id = action->u.dispatch.request,
                                   .kind = EVENT_COMPLETE});
    } else if (action->kind == CORE_ACT_STEP) {
        const struct core_act_step *step = &action->u.step;
        bench->switches += step->step == CORE_STEP_IN;
        push(bench,
             (struct event){.t_ns = bench->now_ns + (step->step == CORE_STEP_IN ? s->step_ns : 0),
                            .id = step->switch_id,
                            .kind = EVENT_STEP,
                            .index = step->instance,
                            .step = step->step,
                            .tier = step->to_tier});
    }
}

static void happen(struct bench *bench, const struct event *event)
{
    struct core_input input = {.t_ns = event->t_ns};
    if (event->kind == EVENT_COMPLETE) {
        input.kind = CORE_IN_COMPLETE;
        input.u.complete = (struct core_in_complete){
            .request = event->id, .outcome = SHUNT_OUTCOME_COMPLETED, .output_tokens = 64};
    } else if (event->kind == EVENT_STEP) {
        input.kind = CORE_IN_STEP;
        input.u.step = (struct core_in_step){.switch_id = event->id,
                                             .instance = event->index,
                                             .step = event->step,
                                             .ok = 1,
                                             .tier = event->tier,
                                             .device_bytes = -1};
    } else {
        input.kind = CORE_IN_REQUEST;
        input.u.request = (struct core_in_request){
            .cookie = ++bench->requests, .model = event->index, .max_tokens = 64};
        int64_t gap_ns = bench->scenario->gap_ns * bench->scenario->models;
        push(bench, (struct event){.t_ns = event->t_ns + draw(bench, gap_ns),
                                   .kind = EVENT_ARRIVAL,
                                   .index = event->index});
    }
    (void)drive_input(bench->drive, &input);
    bench->events++;
}

static void run(struct bench *bench, uint64_t events)
{
    const struct core *core = drive_core(bench->drive);
    while (bench->events < events) {
        int64_t wake_ns = core_wake_ns(core);
        int64_t next_ns = bench->heap[0].t_ns;
        if (wake_ns < next_ns) {
            bench->now_ns = wake_ns;
            (void)drive_settle(bench->drive, wake_ns);
            continue;
        }
        bench->now_ns = next_ns;
        while (bench->heap[0].t_ns == next_ns) {
            struct event event = pop(bench);
            happen(bench, &event);
        }
        (void)drive_settle(bench->drive, next_ns);
    }
}

/* ------------------------------------------------------------------ setting up */

/* Models of 10 GiB on one device of 16: one at a time is resident. */
static void configure(struct bench *bench)
{
    static struct core_instance_config instances[MODELS_MAX];
    static struct core_model_config configs[MODELS_MAX];
    for (uint32_t i = 0; i < bench->scenario->models; i++) {
        instances[i] = (struct core_instance_config){
            .tiers = 1u << SHUNT_TIER_ASLEEP,
            .edges_in = 1u << SHUNT_TIER_ASLEEP,
            .device_bytes = {[SHUNT_TIER_RESIDENT] = INT64_C(10) << 30},
            .tier = SHUNT_TIER_ASLEEP};
        configs[i] = (struct core_model_config){.key = i + 1,
                                                .max_concurrency = bench->scenario->concurrency,
                                                .queue_max = QUEUE_MAX,
                                                .service_limit_ns = 300 * CORE_NS_PER_S,
                                                .weight = 1,
                                                .instance_count = 1,
                                                .instances = &instances[i]};
    }
    const struct core_device_config device = {.memory_bytes = INT64_C(16) << 30, .up = 1};
    const struct core_config config = {.model_count = bench->scenario->models,
                                       .device_count = 1,
                                       .models = configs,
                                       .devices = &device,
                                       .failed_backoff_ns = CORE_NS_PER_S,
                                       .guard = {.enabled = 1,
                                                 .switch_limit_ns = 60 * CORE_NS_PER_S,
                                                 .answer_ns = CORE_NS_PER_S / 100,
                                                 .drain_mode = SHUNT_DRAIN_FINISH}};
    struct core_config_error error;
    if (drive_configure(bench->drive, &config, 1, &error)) {
        fail(error.what);
    }
}

/* Loads the policy into slot 0 and lets it decide. */
static struct policy *select_policy(struct bench *bench, const struct plugin *plugin)
{
    static char names[MODELS_MAX][16];
    const char *list[MODELS_MAX];
    for (uint32_t i = 0; i < bench->scenario->models; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%u", i);
        list[i] = names[i];
    }
    struct params *params;
    struct policy *policy;
    char err[256];
    if (params_create(&plugin->schema, list, bench->scenario->models, &params)) {
        fail("out of memory");
    }
    const struct policy_options options = {.plugin = plugin, .seed = 1, .now_ns = 1};
    if (policy_create(&options, params, &policy, err, sizeof err)) {
        fail(err);
    }
    (void)drive_set_policy(bench->drive, 0, policy);
    struct core_input slot = {
        .kind = CORE_IN_SLOT, .t_ns = 1, .u.slot = {.slot = 0, .change = CORE_SLOT_FILL}};
    (void)drive_input(bench->drive, &slot);
    slot.u.slot.change = CORE_SLOT_SELECT;
    (void)drive_input(bench->drive, &slot);
    return policy;
}

static double cpu_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void measure(const struct scenario *scenario, const struct plugin *plugin, uint64_t events,
                    bool hashing)
{
    static struct bench bench;
    const struct core_limits limits = {.models_max = scenario->models,
                                       .devices_max = 1,
                                       .instances_max = scenario->models,
                                       .slots_max = 2,
                                       .queued_max = scenario->models * QUEUE_MAX,
                                       .in_flight_max = scenario->models * scenario->concurrency};
    const struct drive_ops ops = {.action = on_action};
    size_t size = core_size(&limits);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct core *core = memory != MAP_FAILED ? core_init(memory, size, &limits, 1) : NULL;
    bench = (struct bench){.scenario = scenario, .now_ns = 1, .hashing = hashing};
    if (!core || drive_create(core, &ops, &bench, &bench.drive)) {
        fail("out of memory");
    }
    configure(&bench);
    struct policy *policy = plugin ? select_policy(&bench, plugin) : NULL;
    for (uint32_t i = 0; i < scenario->models; i++) {
        push(&bench, (struct event){.t_ns = 2 + draw(&bench, scenario->gap_ns * scenario->models),
                                    .kind = EVENT_ARRIVAL,
                                    .index = i});
    }
    run(&bench, events / 20); /* learns costs, warms caches */
    uint64_t done = bench.events;
    double best_ns = 1e9;
    for (uint64_t slice = 0; slice < SLICES; slice++) {
        uint64_t begin = bench.events;
        double begin_s = cpu_s();
        run(&bench, done + events * (slice + 1) / SLICES);
        double took_ns = (cpu_s() - begin_s) * 1e9 / (double)(bench.events - begin);
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    const char *broken = core_check(core);
    if (broken) {
        fail(broken);
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    double count = (double)(bench.events - done);
    (void)printf("| %s | %s | %.2f M | %.2f | %.2f M | %.0f ns | %ld MiB |", scenario->name,
                 plugin ? plugin->note.id : "builtin", count * 1e-6,
                 (double)bench.switches / (double)bench.requests, 1e3 / best_ns, best_ns,
                 usage.ru_maxrss / 1024);
    if (hashing) {
        (void)printf(" %016llx %016llx |", (unsigned long long)bench.hash,
                     (unsigned long long)core_hash(core));
    }
    (void)printf("\n");
    drive_destroy(bench.drive);
    policy_destroy(policy, SHUNT_EXIT_SHUTDOWN, 0, "", bench.now_ns);
    (void)munmap(memory, size);
}

int main(int argc, char **argv)
{
    struct plugin_registry *registry;
    uint64_t events = 2000000;
    uint64_t only = UINT64_MAX;
    bool hashing = false;
    char err[512];
    for (int option; (option = getopt(argc, argv, "n:c:x")) != -1;) {
        if (option == 'n') {
            events = strtoull(optarg, NULL, 10);
        } else if (option == 'c') {
            only = strtoull(optarg, NULL, 10);
        } else if (option == 'x') {
            hashing = true;
        } else {
            return 2;
        }
    }
    if (optind == argc || events == 0) {
        fail("usage: core_events [-n EVENTS] [-c CASE] [-x] POLICY.so|builtin...");
    }
    for (uint32_t i = 0; i < DRAWS; i++) {
        exponential[i] = -core_log(random_unit(random_u64(1, 1, i)));
    }
    if (plugin_registry_create(NULL, &registry)) {
        fail("out of memory");
    }
    (void)printf(
        "| case | policy | events | switches/request | events/s | per event | resident |%s\n"
        "|---|---|---|---|---|---|---|%s\n",
        hashing ? " actions, state |" : "", hashing ? "---|" : "");
    for (size_t s = 0; s < sizeof scenarios / sizeof scenarios[0]; s++) {
        for (int i = optind; i < argc && (only == UINT64_MAX || only == s); i++) {
            const struct plugin *plugin = NULL;
            if (strcmp(argv[i], "builtin") != 0 &&
                plugin_load(registry, argv[i], &plugin, err, sizeof err)) {
                fail(err);
            }
            measure(&scenarios[s], plugin, events, hashing);
        }
    }
    plugin_registry_destroy(registry);
    return 0;
}
