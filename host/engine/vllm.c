/*
 * vLLM: sleep mode over HTTP. Control parameters stand in the query; a body is ignored. A 404 for
 * the control paths means that the server runs without VLLM_SERVER_DEV_MODE=1 or without
 * --enable-sleep-mode; moving out then ends the process. A 200 for a sleep is not yet a sleep, so
 * it is confirmed by /is_sleeping and by the memory that came free.
 */
#include "host/engine/engine_priv.h"

#include "base/json_write.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS    INT64_C(1000000)
#define PAUSE_MAX_NS (250 * NS_PER_MS)

static uint32_t sleep_tier(const struct config_model *model)
{
    return model->sleep_level == 2 ? SHUNT_TIER_DISCARDED : SHUNT_TIER_ASLEEP;
}

static int vllm_command(struct engine *engine, char **argv, uint32_t argv_max, char **env,
                        uint32_t env_max)
{
    const struct config_model *model = engine->model;
    if (model->start.count > argv_max || model->env.count > env_max) {
        return -E2BIG;
    }
    for (uint32_t i = 0; i < model->start.count; i++) {
        argv[i] = strdup(model->start.item[i]);
    }
    for (uint32_t i = 0; i < model->env.count; i++) {
        env[i] = strdup(model->env.item[i]);
    }
    return 0;
}

/* ------------------------------------------------------------------ figures */

/* Sum of all series of `name` in an exposition, or NaN. */
static double metric_sum(struct span text, const char *name)
{
    size_t len = strlen(name);
    double sum = (double)NAN;
    for (size_t at = 0; at < text.len;) {
        const char *line = text.data + at;
        const char *end = memchr(line, '\n', text.len - at);
        size_t line_len = end ? (size_t)(end - line) : text.len - at;
        at += line_len + 1;
        if (line_len <= len || memcmp(line, name, len) != 0 ||
            (line[len] != '{' && line[len] != ' ')) {
            continue;
        }
        size_t value = line_len;
        while (value > 0 && line[value - 1] != ' ') {
            value--;
        }
        char number[64];
        if (line_len - value >= sizeof(number)) {
            continue;
        }
        memcpy(number, line + value, line_len - value);
        number[line_len - value] = '\0';
        double v = strtod(number, NULL);
        sum = isnan(sum) ? v : sum + v;
    }
    return sum;
}

static uint32_t count_of(double value)
{
    return value >= 0 && value < 1e9 ? (uint32_t)value : UINT32_MAX;
}

static bool vllm_figures(struct span text, struct engine_figures *ret)
{
    double running = metric_sum(text, "vllm:num_requests_running");
    double waiting = metric_sum(text, "vllm:num_requests_waiting");
    double kv = metric_sum(text, "vllm:kv_cache_usage_perc");
    if (isnan(kv)) {
        kv = metric_sum(text, "vllm:gpu_cache_usage_perc");
    }
    double queries = metric_sum(text, "vllm:prefix_cache_queries_total");
    double hits = metric_sum(text, "vllm:prefix_cache_hits_total");
    double held = metric_sum(text, "vllm:emulate_device_bytes");
    ret->running = count_of(running);
    ret->waiting = count_of(waiting);
    ret->kv_used_ratio = kv;
    ret->prefix_hit_ratio = queries > 0 ? hits / queries : (double)NAN;
    ret->device_bytes = held >= 0 ? (int64_t)held : -1;
    return ret->running != UINT32_MAX;
}

/* -1: not said. */
static int sleeping_of(unsigned status, struct span body)
{
    static const char key[] = "\"is_sleeping\"";
    const char *at = status == 200 ? memmem(body.data, body.len, key, sizeof(key) - 1) : NULL;
    if (!at) {
        return -1;
    }
    struct span rest = span_skip(body, (size_t)(at - body.data) + sizeof(key) - 1);
    while (rest.len && (rest.data[0] == ' ' || rest.data[0] == ':')) {
        rest = span_skip(rest, 1);
    }
    return rest.len ? rest.data[0] == 't' : -1;
}

static void quote(struct span body, char *out, size_t size)
{
    size_t n = body.len < size - 1 ? body.len : size - 1;
    for (size_t i = 0; i < n; i++) {
        out[i] = body.data[i] >= ' ' && body.data[i] < 127 ? body.data[i] : ' ';
    }
    out[n] = '\0';
}

/* ------------------------------------------------------------------ out */

static void out_confirm(struct engine *engine);
static void out_idle(struct engine *engine);

static void out_confirmed(struct engine *engine, unsigned status, struct span body)
{
    const struct config_memory *memory = &engine->model->memory;
    if (sleeping_of(status, body) == 1) {
        int64_t bytes = memory->bytes[engine->step.to];
        engine_await_memory(engine, bytes > 0 ? bytes : 0);
    } else if (engine_now_ns(engine) >= engine->step.phase_deadline_ns) {
        engine_escalate(engine, "/sleep was answered with 200, but /is_sleeping never said so");
    } else {
        engine_again(engine, PAUSE_MAX_NS, out_confirm);
    }
}

static void out_confirm(struct engine *engine)
{
    engine_call(engine, false, "/is_sleeping", NULL, engine->step.deadline_ns, out_confirmed);
}

static void out_slept(struct engine *engine, unsigned status, struct span body)
{
    char text[160];
    if (status == 200) {
        engine->step.pause_ns = 0;
        engine->step.phase_deadline_ns = engine_now_ns(engine) + engine->setup.memory_timeout_ns;
        out_confirm(engine);
    } else if (status == 404) {
        engine->sleep_absent = true;
        engine_misses(engine, "/sleep is 404: start it with --enable-sleep-mode and "
                              "VLLM_SERVER_DEV_MODE=1; until then it is stopped instead");
        engine_escalate(engine, "it has no sleep mode");
    } else {
        quote(body, text, sizeof(text));
        engine_escalate(engine, "/sleep answered %u: %s", status, text);
    }
}

static void out_sleep(struct engine *engine)
{
    char target[64];
    (void)snprintf(target, sizeof(target), "/sleep?level=%d&mode=wait",
                   engine->step.to == SHUNT_TIER_DISCARDED ? 2 : 1);
    engine_call(engine, true, target, "", engine->step.deadline_ns, out_slept);
}

/* Only an idle engine is put to sleep: vLLM's default mode aborts what runs, and an engine may go
 * on generating for a client that has left. */
static void out_idle_known(struct engine *engine, unsigned status, struct span body)
{
    struct engine_figures figures;
    if (status == 200 && vllm_figures(body, &figures) &&
        figures.running + (figures.waiting == UINT32_MAX ? 0 : figures.waiting) > 0 &&
        engine_now_ns(engine) < engine->step.phase_deadline_ns) {
        engine_again(engine, PAUSE_MAX_NS, out_idle);
        return;
    }
    if (status == 0) {
        char text[160];
        quote(body, text, sizeof(text));
        engine_escalate(engine, "/metrics: %s", text);
        return;
    }
    out_sleep(engine);
}

static void out_idle(struct engine *engine)
{
    engine_call(engine, false, "/metrics", NULL, engine->step.phase_deadline_ns, out_idle_known);
}

static void vllm_out(struct engine *engine)
{
    if (engine->sleep_absent) {
        engine->capability_misses++;
        engine_escalate(engine, "it has no sleep mode");
        return;
    }
    engine->step.phase_deadline_ns = engine_now_ns(engine) + engine->setup.memory_timeout_ns;
    out_idle(engine);
}

/* ------------------------------------------------------------------ in */

static void in_confirm(struct engine *engine);

static void in_confirmed(struct engine *engine, unsigned status, struct span body)
{
    if (sleeping_of(status, body) == 0) {
        engine_step_done(engine, true, SHUNT_TIER_RESIDENT, false, NULL);
    } else if (engine_now_ns(engine) >= engine->step.phase_deadline_ns) {
        engine_escalate(engine, "/wake_up was answered with 200, but it still sleeps");
    } else {
        engine_again(engine, PAUSE_MAX_NS, in_confirm);
    }
}

static void in_confirm(struct engine *engine)
{
    engine_call(engine, false, "/is_sleeping", NULL, engine->step.deadline_ns, in_confirmed);
}

/* A wake that failed half-way leaks mappings: the process is not worth keeping. */
static bool in_failed(struct engine *engine, const char *what, unsigned status, struct span body)
{
    if (status == 200) {
        return false;
    }
    char text[200];
    quote(body, text, sizeof(text));
    engine_escalate(engine, "%s %s %u: %s", what, status ? "answered" : "failed", status, text);
    return true;
}

static void in_woken(struct engine *engine, unsigned status, struct span body)
{
    if (!in_failed(engine, "/wake_up", status, body)) {
        engine->step.pause_ns = 0;
        engine->step.phase_deadline_ns = engine_now_ns(engine) + engine->setup.memory_timeout_ns;
        in_confirm(engine);
    }
}

static void in_reloaded(struct engine *engine, unsigned status, struct span body)
{
    if (!in_failed(engine, "reload_weights", status, body)) {
        engine_call(engine, true, "/wake_up?tags=kv_cache", "", engine->step.deadline_ns, in_woken);
    }
}

static void in_weights(struct engine *engine, unsigned status, struct span body)
{
    if (!in_failed(engine, "/wake_up?tags=weights", status, body)) {
        engine_call(engine, true, "/collective_rpc", "{\"method\":\"reload_weights\"}",
                    engine->step.deadline_ns, in_reloaded);
    }
}

static void vllm_in(struct engine *engine)
{
    if (engine->step.from == SHUNT_TIER_DISCARDED) {
        engine_call(engine, true, "/wake_up?tags=weights", "", engine->step.deadline_ns,
                    in_weights);
    } else {
        engine_call(engine, true, "/wake_up", "", engine->step.deadline_ns, in_woken);
    }
}

/* Whether it can sleep is asked at its first start, so that the operator reads it then. */
static void started_known(struct engine *engine, unsigned status, struct span body)
{
    (void)body;
    if (status == 404) {
        engine->sleep_absent = true;
        engine_misses(engine, "/is_sleeping is 404: start it with --enable-sleep-mode and "
                              "VLLM_SERVER_DEV_MODE=1; until then it is stopped instead of put "
                              "to sleep");
    }
    engine_step_done(engine, true, SHUNT_TIER_RESIDENT, false, NULL);
}

static void vllm_started(struct engine *engine)
{
    engine_call(engine, false, "/is_sleeping", NULL, engine->step.deadline_ns, started_known);
}

/* ------------------------------------------------------------------ probe, settle */

static void probed(struct engine *engine, unsigned status, struct span body)
{
    if (status == 200 || status == 400 || status == 404 || status == 405) {
        /* 4xx: it answers, but has no completions to give, as an embedding model. */
        engine_step_done(engine, true, SHUNT_TIER_RESIDENT, false, NULL);
        return;
    }
    (void)in_failed(engine, "the probe", status, body);
}

static void vllm_probe(struct engine *engine)
{
    char body[512];
    struct json_write w;
    struct span text;
    json_write_init(&w, body, sizeof(body) - 1);
    json_write_object(&w);
    json_write_key(&w, "model");
    json_write_string(&w, engine_upstream_model(engine));
    json_write_key(&w, "prompt");
    json_write_string(&w, "1");
    json_write_key(&w, "max_tokens");
    json_write_int(&w, 1);
    json_write_key(&w, "temperature");
    json_write_int(&w, 0);
    json_write_object_end(&w);
    if (!json_write_done(&w, &text)) {
        engine_escalate(engine, "its name is too long for a probe");
        return;
    }
    body[text.len] = '\0';
    engine_call(engine, true, "/v1/completions", body, engine->step.deadline_ns, probed);
}

static void settled(struct engine *engine, unsigned status, struct span body)
{
    int sleeping = sleeping_of(status, body);
    if (sleeping == 1) {
        engine_step_done(engine, true, sleep_tier(engine->model), false, NULL);
    } else if (status == 0 && !engine_attached(engine)) {
        engine_escalate(engine, "it runs, but does not answer");
    } else if (status == 0) {
        engine_step_done(engine, false, sleep_tier(engine->model), false,
                         "no server answers at its url yet");
    } else if (engine_attached(engine) && sleeping == 0) {
        engine->step.to = sleep_tier(engine->model);
        out_sleep(engine); /* where it is must be known, and its memory free for others */
    } else {
        engine->sleep_absent = status == 404;
        engine_step_done(engine, true, SHUNT_TIER_RESIDENT, false, NULL);
    }
}

static void vllm_settle(struct engine *engine)
{
    engine_call(engine, false, "/is_sleeping", NULL, engine->step.deadline_ns, settled);
}

const struct engine_driver engine_vllm = {
    .name = "vllm",
    .kind = CONFIG_ENGINE_VLLM,
    .command = vllm_command,
    .started = vllm_started,
    .out = vllm_out,
    .in = vllm_in,
    .probe = vllm_probe,
    .settle = vllm_settle,
    .figures = vllm_figures,
};

/* ------------------------------------------------------------------ the emulator's command line */

struct args {
    char **item;
    uint32_t count;
    uint32_t max;
    bool failed;
};

static void arg_text(struct args *args, const char *text)
{
    char *copy = strdup(text);
    if (!copy || args->count >= args->max) {
        free(copy);
        args->failed = true;
        return;
    }
    args->item[args->count++] = copy;
}

static void arg_real(struct args *args, const char *name, double value)
{
    char text[48];
    (void)snprintf(text, sizeof(text), "%.17g", value);
    arg_text(args, name);
    arg_text(args, text);
}

static double gib(int64_t bytes)
{
    return bytes > 0 ? (double)bytes / 0x1p30 : 0;
}

static int emulated_command(struct engine *engine, char **argv, uint32_t argv_max, char **env,
                            uint32_t env_max)
{
    const struct config_model *model = engine->model;
    const struct config_emulate *emulate = &model->emulate;
    if (model->start.count) {
        return vllm_command(engine, argv, argv_max, env, env_max);
    }
    struct args args = {.item = argv, .max = argv_max};
    char pool[4096 + 128];
    char count[24];
    (void)snprintf(pool, sizeof(pool), "%s/%s.pool", engine->setup.state_dir, engine->setup.device);
    (void)snprintf(count, sizeof(count), "%lld", (long long)model->max_concurrency);
    arg_text(&args, "/proc/self/exe");
    arg_text(&args, "emulate");
    arg_text(&args, "--port");
    arg_text(&args, "${PORT}");
    arg_text(&args, "--model");
    arg_text(&args, engine_upstream_model(engine));
    arg_text(&args, "--enable-sleep-mode");
    arg_text(&args, "--max-num-seqs");
    arg_text(&args, count);
    arg_real(&args, "--load-s", (double)emulate->load_ns / 1e9);
    arg_real(&args, "--wake-s", (double)emulate->wake_ns / 1e9);
    arg_real(&args, "--sleep-s", (double)emulate->sleep_ns / 1e9);
    arg_real(&args, "--sleep2-s", (double)emulate->sleep_ns / 1e9);
    arg_real(&args, "--reload-s", (double)emulate->reload_ns / 1e9);
    arg_real(&args, "--ttft-ms", (double)emulate->ttft_ns / 1e6);
    arg_real(&args, "--token-ms", (double)emulate->token_ns / 1e6);
    arg_real(&args, "--batch-slope", emulate->batch_slope);
    arg_real(&args, "--resident-gib", gib(model->memory.bytes[SHUNT_TIER_RESIDENT]));
    arg_real(&args, "--asleep-gib", gib(model->memory.bytes[sleep_tier(model)]));
    arg_text(&args, "--vram-pool");
    arg_text(&args, pool);
    arg_real(&args, "--vram-gib", gib(engine->setup.device_memory_bytes));
    for (uint32_t i = 0; i < emulate->args.count; i++) {
        arg_text(&args, emulate->args.item[i]);
    }
    struct args variables = {.item = env, .max = env_max};
    arg_text(&variables, "VLLM_SERVER_DEV_MODE=1");
    for (uint32_t i = 0; i < model->env.count; i++) {
        arg_text(&variables, model->env.item[i]);
    }
    return args.failed || variables.failed ? -E2BIG : 0;
}

/* vLLM with a command line of its own: everything else is the same code. */
const struct engine_driver engine_emulated = {
    .name = "emulated",
    .kind = CONFIG_ENGINE_EMULATED,
    .command = emulated_command,
    .started = vllm_started,
    .out = vllm_out,
    .in = vllm_in,
    .probe = vllm_probe,
    .settle = vllm_settle,
    .figures = vllm_figures,
};
