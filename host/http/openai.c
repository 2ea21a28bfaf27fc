/* OpenAI's shapes: see openai.h. */
#include "host/http/openai.h"

#include <assert.h>
#include <string.h>

const char *openai_error_type(unsigned status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    case 503:
        return "service_unavailable_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

int64_t openai_retry_after_s(int64_t retry_after_ns)
{
    const int64_t second = INT64_C(1000000000);
    const int64_t day = 86400;
    if (retry_after_ns < 0) {
        return 10;
    }
    int64_t s = retry_after_ns / second + (retry_after_ns % second != 0);
    return s < 1 ? 1 : s > day ? day : s;
}

static void write_error(struct json_write *w, const struct openai_error *error, struct span message)
{
    json_write_object(w);
    json_write_key(w, "error");
    json_write_object(w);
    json_write_key(w, "message");
    json_write_span(w, message);
    json_write_key(w, "type");
    json_write_string(w, error->type ? error->type : openai_error_type(error->status));
    json_write_key(w, "param");
    json_write_string(w, error->param);
    json_write_key(w, "code");
    json_write_string(w, error->code);
    json_write_object_end(w);
    json_write_object_end(w);
}

static struct span make(const struct openai_error *error, char buf[OPENAI_ERROR_BYTES_MAX],
                        bool event)
{
    struct span message = span_of_string(error->message);
    for (;;) {
        struct json_write w;
        struct span text;
        json_write_init(&w, buf, OPENAI_ERROR_BYTES_MAX);
        if (event) {
            json_write_plain(&w, SPAN_LITERAL("data: "));
        }
        write_error(&w, error, message);
        json_write_plain(&w, event ? SPAN_LITERAL("\n\n") : SPAN_LITERAL("\n"));
        if (json_write_done(&w, &text)) {
            return text;
        }
        assert(message.len > 0);
        message.len /= 2; /* only a message can be long */
    }
}

struct span openai_error_body(const struct openai_error *error, char buf[OPENAI_ERROR_BYTES_MAX])
{
    return make(error, buf, false);
}

struct span openai_error_event(const struct openai_error *error, char buf[OPENAI_ERROR_BYTES_MAX])
{
    return make(error, buf, true);
}

void openai_model(struct json_write *w, const char *name, const char *root, int64_t created_s)
{
    json_write_object(w);
    json_write_key(w, "id");
    json_write_string(w, name);
    json_write_key(w, "object");
    json_write_string(w, "model");
    json_write_key(w, "created");
    json_write_int(w, created_s);
    json_write_key(w, "owned_by");
    json_write_string(w, "shunt");
    json_write_key(w, "root");
    json_write_string(w, root);
    json_write_object_end(w);
}
