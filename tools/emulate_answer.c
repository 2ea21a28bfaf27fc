/*
 * What goes back to the client: OpenAI's objects and event streams, vLLM's metrics. Served names
 * and ids are the only text from outside; names were checked at start to need no escaping.
 */
#include "tools/emulate_priv.h"

#include "base/json_write.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void text_print(struct text *text, const char *words,
                                                             ...)
{
    char line[1024];
    va_list args;
    va_start(args, words);
    int n = vsnprintf(line, sizeof line, words, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < sizeof line);
    (void)text_add(text, span_of(line, (size_t)n));
}

static void count_out(struct emulator *e, size_t bytes)
{
    int64_t die_at = e->options.faults.die_at_byte;
    e->bytes_out += (int64_t)bytes;
    if (die_at > 0 && e->bytes_out >= die_at) {
        /* A moment later, so that what was written so far leaves first. */
        loop_timer_set(&e->dying, loop_now_ns(e->loop));
    }
}

static void reply(struct request *r, unsigned status, const char *type, struct span body)
{
    if (r->conn) {
        (void)server_reply(r->conn, status, SPAN_LITERAL(""), type, body);
    }
}

void answer_error(struct request *r, unsigned status, const char *type, const char *message)
{
    char text[1024];
    struct json_write w;
    struct span body = SPAN_LITERAL("{}");
    json_write_init(&w, text, sizeof text);
    json_write_object(&w);
    json_write_key(&w, "error");
    json_write_object(&w);
    json_write_key(&w, "message");
    json_write_string(&w, message);
    json_write_key(&w, "type");
    json_write_string(&w, type);
    json_write_key(&w, "param");
    json_write_null(&w);
    json_write_key(&w, "code");
    json_write_uint(&w, status);
    json_write_object_end(&w);
    json_write_object_end(&w);
    (void)json_write_done(&w, &body);
    reply(r, status, "application/json", body);
}

void answer_json(struct request *r, unsigned status, const char *json)
{
    reply(r, status, "application/json", span_of_string(json));
}

void answer_empty(struct request *r, unsigned status)
{
    reply(r, status, NULL, SPAN_LITERAL(""));
}

/* --- Streams -----------------------------------------------------------------------------------
 */

static void event(struct request *r, const struct text *text)
{
    if (r->conn) {
        (void)server_write(r->conn, span_of(text->data, text->len));
        count_out(r->emulator, text->len);
    }
}

static const char *chunk_object(const struct request *r)
{
    return r->kind == REQUEST_CHAT ? "chat.completion.chunk" : "text_completion";
}

static void chunk_head(const struct request *r, struct text *to)
{
    text_print(to,
               "data: {\"id\":\"%s\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":\"%s\",",
               r->id, chunk_object(r), r->created_s, r->model);
}

static void chunk_words(const struct request *r, struct text *to, const char *word,
                        const char *reason)
{
    chunk_head(r, to);
    if (r->kind == REQUEST_CHAT) {
        text_print(to, "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},", word);
    } else {
        text_print(to, "\"choices\":[{\"index\":0,\"text\":\"%s\",", word);
    }
    if (reason) {
        text_print(to, "\"logprobs\":null,\"finish_reason\":\"%s\"}]}\n\n", reason);
    } else {
        text_print(to, "\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    }
}

static void stream_begin(struct request *r, struct text *to)
{
    if (r->conn) {
        const struct server_response response = {
            .status = 200, .content_type = "text/event-stream; charset=utf-8", .length = -1};
        (void)server_respond(r->conn, &response);
    }
    if (r->kind == REQUEST_CHAT) {
        chunk_head(r, to);
        text_print(to, "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":"
                       "\"\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    } else if (r->kind == REQUEST_RESPONSE) {
        text_print(to,
                   "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{"
                   "\"id\":\"%s\",\"object\":\"response\",\"created_at\":%" PRId64
                   ",\"status\":\"in_progress\",\"model\":\"%s\",\"output\":[]}}\n\n",
                   r->id, r->created_s, r->model);
    }
}

static void stream_word(struct request *r, const char *word, bool last)
{
    struct text text = {0};
    if (r->produced == 1) {
        stream_begin(r, &text);
    }
    if (r->kind == REQUEST_RESPONSE) {
        text_print(&text,
                   "event: response.output_text.delta\ndata: {\"type\":"
                   "\"response.output_text.delta\",\"item_id\":\"%s\",\"output_index\":0,"
                   "\"content_index\":0,\"delta\":\"%s\"}\n\n",
                   r->id, word);
    } else {
        chunk_words(r, &text, word, last ? (r->output_is_limit ? "length" : "stop") : NULL);
    }
    event(r, &text);
    free(text.data);
}

static void usage(const struct request *r, struct text *to)
{
    const char *in = r->kind == REQUEST_RESPONSE ? "input_tokens" : "prompt_tokens";
    const char *out = r->kind == REQUEST_RESPONSE ? "output_tokens" : "completion_tokens";
    text_print(to, "{\"%s\":%" PRId64 ",\"%s\":%" PRId64 ",\"total_tokens\":%" PRId64 "}", in,
               r->input_tokens, out, r->produced, r->input_tokens + r->produced);
}

/* The response object of /v1/responses, complete. */
static void response_object(const struct request *r, struct text *to)
{
    text_print(to,
               "{\"id\":\"%s\",\"object\":\"response\",\"created_at\":%" PRId64
               ",\"status\":\"completed\",\"model\":\"%s\",\"output\":[{\"type\":\"message\","
               "\"id\":\"msg-%s\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{"
               "\"type\":\"output_text\",\"annotations\":[],\"text\":\"",
               r->id, r->created_s, r->model, r->id);
    (void)text_add(to, span_of(r->answer.data, r->answer.len));
    text_print(to, "\"}]}],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[],"
                   "\"usage\":");
    usage(r, to);
    text_print(to, "}");
}

/* What stands behind the last word: usage if wanted, and the end mark. */
static void stream_end(struct request *r)
{
    struct text text = {0};
    if (r->kind == REQUEST_RESPONSE) {
        text_print(&text, "event: response.completed\ndata: {\"type\":\"response.completed\","
                          "\"response\":");
        response_object(r, &text);
        text_print(&text, "}\n\n");
    } else {
        if (r->include_usage) {
            chunk_head(r, &text);
            text_print(&text, "\"choices\":[],\"usage\":");
            usage(r, &text);
            text_print(&text, "}\n\n");
        }
        text_print(&text, "data: [DONE]\n\n");
    }
    event(r, &text);
    free(text.data);
    if (r->conn) {
        (void)server_finish(r->conn);
    }
}

/* --- Whole answers ------------------------------------------------------------------------------
 */

static void whole_answer(struct request *r, const char *reason)
{
    struct text text = {0};
    if (r->kind == REQUEST_RESPONSE) {
        response_object(r, &text);
    } else {
        bool chat = r->kind == REQUEST_CHAT;
        text_print(&text,
                   "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%" PRId64
                   ",\"model\":\"%s\",\"choices\":[{\"index\":0,%s",
                   r->id, chat ? "chat.completion" : "text_completion", r->created_s, r->model,
                   chat ? "\"message\":{\"role\":\"assistant\",\"content\":\"" : "\"text\":\"");
        (void)text_add(&text, span_of(r->answer.data, r->answer.len));
        text_print(&text,
                   "\"%s,\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":", chat ? "}" : "",
                   reason);
        usage(r, &text);
        text_print(&text, "}");
    }
    if (r->emulator->options.faults.framing == FRAMING_SHORT && r->conn) {
        const struct server_response response = {
            .status = 200, .content_type = "application/json", .length = (int64_t)text.len};
        (void)server_respond(r->conn, &response);
        (void)server_write(r->conn, span_of(text.data, text.len / 2));
        (void)server_finish(r->conn);
    } else {
        reply(r, 200, "application/json", span_of(text.data, text.len));
    }
    count_out(r->emulator, text.len);
    free(text.data);
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Eight numbers that follow from the key: the same text gives the same vector. */
static void embedding(struct request *r)
{
    enum { NUMBERS = 6 };
    float vector[NUMBERS];
    uint8_t bytes[sizeof vector];
    for (size_t i = 0; i < NUMBERS; i++) {
        vector[i] = (float)((r->key >> (8 * i)) & 0xff) / 256.0F - 0.5F;
    }
    memcpy(bytes, vector, sizeof bytes);
    struct text text = {0};
    text_print(&text,
               "{\"object\":\"list\",\"model\":\"%s\",\"data\":[{\"object\":\"embedding\","
               "\"index\":0,\"embedding\":",
               r->model);
    if (r->embedding_base64) {
        text_print(&text, "\"");
        for (size_t i = 0; i < sizeof bytes; i += 3) {
            unsigned bits = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];
            text_print(&text, "%c%c%c%c", base64_digits[bits >> 18], base64_digits[bits >> 12 & 63],
                       base64_digits[bits >> 6 & 63], base64_digits[bits & 63]);
        }
        text_print(&text, "\"");
    } else {
        for (size_t i = 0; i < NUMBERS; i++) {
            text_print(&text, "%c%.6f", i ? ',' : '[', (double)vector[i]);
        }
        text_print(&text, "]");
    }
    text_print(&text, "}],\"usage\":{\"prompt_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}}",
               r->input_tokens, r->input_tokens);
    reply(r, 200, "application/json", span_of(text.data, text.len));
    count_out(r->emulator, text.len);
    free(text.data);
}

/* --- One request ---------------------------------------------------------------------------------
 */

static void request_over(struct request *r)
{
    engine_remove(r->emulator, r);
    if (!r->conn) {
        request_free(r);
    }
}

void answer_finish(struct request *r, const char *reason)
{
    if (r->stream) {
        if (r->produced == 0) {
            struct text text = {0};
            stream_begin(r, &text);
            event(r, &text);
            free(text.data);
        }
        if (r->kind != REQUEST_RESPONSE) {
            struct text text = {0};
            chunk_words(r, &text, "", reason);
            event(r, &text);
            free(text.data);
        }
        stream_end(r);
    } else {
        whole_answer(r, reason);
    }
    request_over(r);
}

void answer_token(struct request *r)
{
    struct emulator *e = r->emulator;
    if (r->kind == REQUEST_EMBEDDING) {
        embedding(r);
        request_over(r);
        return;
    }
    char word[EMULATE_WORD_MAX];
    /* Weights that were dropped and not reloaded give fluent nonsense: another key's words. */
    size_t len = emulate_word(r->gibberish ? ~r->key : r->key, (uint64_t)r->produced, word);
    r->produced++;
    e->tokens_out++;
    bool last = r->produced >= r->output_tokens;
    if (!r->stream || r->kind == REQUEST_RESPONSE) {
        (void)text_add(&r->answer, span_of(word, len));
    }
    if (r->stream) {
        stream_word(r, word, last);
    }
    if (!last) {
        return;
    }
    if (r->stream) {
        stream_end(r);
    } else {
        whole_answer(r, r->output_is_limit ? "length" : "stop");
    }
    request_over(r);
}

/* --- Lists --- */

void answer_models(struct request *r)
{
    struct text text = {0};
    const struct emulate_options *o = &r->emulator->options;
    text_print(&text, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < o->models_len; i++) {
        text_print(&text,
                   "%s{\"id\":\"%s\",\"object\":\"model\",\"created\":0,\"owned_by\":\"vllm\","
                   "\"root\":\"%s\",\"parent\":null,\"max_model_len\":%" PRId64 "}",
                   i ? "," : "", o->models[i], o->models[0], o->model_len_max);
    }
    text_print(&text, "]}");
    reply(r, 200, "application/json", span_of(text.data, text.len));
    free(text.data);
}

static void metric(struct text *text, const char *name, const char *type, const char *model,
                   double value)
{
    text_print(text, "# TYPE vllm:%s %s\nvllm:%s{model_name=\"%s\"} %.17g\n", name, type, name,
               model, value);
}

void answer_metrics(struct request *r)
{
    struct emulator *e = r->emulator;
    const char *model = e->options.models[0];
    double room = (double)e->options.slots_max * (double)e->options.model_len_max;
    struct text text = {0};
    metric(&text, "num_requests_running", "gauge", model, (double)e->running.len);
    metric(&text, "num_requests_waiting", "gauge", model, (double)e->waiting.len);
    metric(&text, "kv_cache_usage_perc", "gauge", model, (double)e->contexts / room);
    metric(&text, "prompt_tokens_total", "counter", model, (double)e->tokens_in);
    metric(&text, "generation_tokens_total", "counter", model, (double)e->tokens_out);
    metric(&text, "num_preemptions_total", "counter", model, 0);
    metric(&text, "emulate_requests_total", "counter", model, (double)e->requests);
    metric(&text, "emulate_aborted_total", "counter", model, (double)e->aborted);
    metric(&text, "emulate_refused_asleep_total", "counter", model, (double)e->refused_asleep);
    metric(&text, "emulate_device_bytes", "gauge", model, (double)control_bytes(e));
    static const char *const states[] = {"awake", "weights_offloaded", "discard_all"};
    size_t now = !e->asleep ? 0 : e->level == 2 ? 2 : 1;
    text_print(&text, "# TYPE vllm:engine_sleep_state gauge\n");
    for (size_t i = 0; i < 3; i++) {
        text_print(&text, "vllm:engine_sleep_state{model_name=\"%s\",sleep_state=\"%s\"} %d\n",
                   model, states[i], i == now);
    }
    reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", span_of(text.data, text.len));
    free(text.data);
}
