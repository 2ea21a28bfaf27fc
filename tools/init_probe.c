/*
 * Asks a running server which models it has (GET /v1/models), for `shunt init --probe`. One request
 * on a loop of its own; the answer is bounded.
 */
#include "net/client.h"
#include "tools/init.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES_MAX = 1 << 20, NAMES_MAX = 256 };

#define PROBE_TIMEOUT_NS (INT64_C(5) * 1000000000)

struct probe {
    struct loop *loop;
    char *body;
    size_t used;
    unsigned status;
    enum client_result result;
    bool too_long;
};

static void on_head(struct client_exchange *exchange, const struct http_head *head, void *user)
{
    (void)exchange;
    struct probe *probe = user;
    probe->status = head->status;
}

static void on_body(struct client_exchange *exchange, struct span data, void *user)
{
    (void)exchange;
    struct probe *probe = user;
    if (data.len > ANSWER_BYTES_MAX - probe->used) {
        probe->too_long = true;
        return;
    }
    memcpy(probe->body + probe->used, data.data, data.len);
    probe->used += data.len;
}

static void on_done(struct client_exchange *exchange, enum client_result result, void *user)
{
    (void)exchange;
    struct probe *probe = user;
    probe->result = result;
    loop_stop(probe->loop);
}

static int fetch(struct probe *probe, const char *origin)
{
    static const struct client_ops ops = {
        .response_head = on_head, .response_body = on_body, .done = on_done};
    struct client_options options = client_options_default;
    struct client *client = NULL;
    struct client_exchange *exchange = NULL;
    options.origin = origin;
    int result = client_create(probe->loop, &options, &client);
    if (result) {
        return result;
    }
    const struct client_request request = {
        .method = SPAN_LITERAL("GET"),
        .target = SPAN_LITERAL("/v1/models"),
        .fields = SPAN_LITERAL("Accept: application/json\r\n"),
        .connect_timeout_ns = PROBE_TIMEOUT_NS,
        .total_due_ns = loop_now_ns(probe->loop) + PROBE_TIMEOUT_NS,
    };
    result = client_send(client, &request, &ops, probe, &exchange);
    if (result == 0) {
        result = loop_run(probe->loop);
    }
    client_destroy(client);
    return result;
}

static enum config_engine engine_of(const char *owner)
{
    static const struct {
        const char *owner;
        enum config_engine engine;
    } owners[] = {{"vllm", CONFIG_ENGINE_VLLM},
                  {"sglang", CONFIG_ENGINE_SGLANG},
                  {"llamacpp", CONFIG_ENGINE_LLAMA_SERVER},
                  {"library", CONFIG_ENGINE_OLLAMA}};
    for (size_t i = 0; owner && i < sizeof owners / sizeof owners[0]; i++) {
        if (strcmp(owner, owners[i].owner) == 0) {
            return owners[i].engine;
        }
    }
    return CONFIG_ENGINE_COMMAND;
}

/* A server of one engine lists its names: the first is the model's, the others its aliases. One
 * that changes models by itself (ollama) gives a model for each. */
static int take_models(struct draft *draft, const char *url, const json_t *data)
{
    struct draft_model *model = NULL;
    for (size_t i = 0; i < json_array_size(data) && i < NAMES_MAX; i++) {
        const json_t *one = json_array_get(data, i);
        const char *name = json_string_value(json_object_get(one, "id"));
        enum config_engine engine = engine_of(json_string_value(json_object_get(one, "owned_by")));
        if (!name) {
            return -EINVAL;
        }
        if (model && engine != CONFIG_ENGINE_OLLAMA) {
            draft_add(&model->aliases, name);
            continue;
        }
        model = draft_model_add(draft, name);
        model->engine = engine;
        model->url = draft_copy(url);
        model->pinned = engine != CONFIG_ENGINE_VLLM && engine != CONFIG_ENGINE_SGLANG;
        draft_remark(&model->remarks, "found running at %s; shunt attaches to it and never ends it",
                     url);
        if (model->pinned) {
            draft_remark(
                &model->remarks,
                "it cannot be put to sleep, so it stays resident; state start in place of url "
                "and let it be stopped, or it shares its GPU with nothing large");
        }
    }
    return model ? 0 : -EINVAL;
}

static int judge(struct draft *draft, const char *url, const struct probe *probe, char *err,
                 size_t err_size)
{
    if (probe->result != CLIENT_OK || probe->too_long || probe->status != 200) {
        (void)snprintf(err, err_size, "%.200s: /v1/models: %s (status %u)", url,
                       probe->too_long ? "the answer is too long"
                                       : client_result_name(probe->result),
                       probe->status);
        return -EIO;
    }
    json_t *answer = json_loadb(probe->body, probe->used, JSON_REJECT_DUPLICATES, NULL);
    int result = take_models(draft, url, json_object_get(answer, "data"));
    json_decref(answer);
    if (result) {
        (void)snprintf(err, err_size, "%.200s: /v1/models lists no model", url);
    }
    return result ? -EIO : 0;
}

int init_probe(struct draft *draft, const char *url, char *err, size_t err_size)
{
    struct config_address address;
    char why[200], origin[160];
    if (config_url_parse(url, &address, why, sizeof why)) {
        (void)snprintf(err, err_size, "%.200s: %s", url, why);
        return -EINVAL;
    }
    if (address.kind == CONFIG_LISTEN_UNIX) {
        (void)snprintf(origin, sizeof origin, "unix:%s", address.host);
    } else {
        (void)snprintf(origin, sizeof origin, "%s%s%s:%u", address.ipv6 ? "[" : "", address.host,
                       address.ipv6 ? "]" : "", address.port);
    }
    struct probe probe = {.body = malloc(ANSWER_BYTES_MAX)};
    int result = probe.body ? loop_create(&probe.loop) : -ENOMEM;
    if (result == 0) {
        result = fetch(&probe, origin);
        loop_destroy(probe.loop);
    }
    if (result) {
        (void)snprintf(err, err_size, "%.200s: %s", url, strerror(-result));
        result = -EIO;
    } else {
        result = judge(draft, url, &probe, err, err_size);
        draft->gpus = draft->gpus ? draft->gpus : 1;
    }
    free(probe.body);
    return result;
}
