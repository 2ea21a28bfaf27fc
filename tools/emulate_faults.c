/*
 * Faults on demand: by flag at start (--fault NAME[=VALUE]) and at run time (POST /emulate/faults).
 */
#include "tools/emulate_priv.h"

#include "base/json_write.h"
#include "base/trace.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum fault_type { FAULT_BOOL, FAULT_COUNT, FAULT_FACTOR, FAULT_FRAMING };

static const struct fault {
    const char *name;
    enum fault_type type;
    size_t offset;
} table[] = {
    {"die_at_byte", FAULT_COUNT, offsetof(struct faults, die_at_byte)},
    {"hang_after_tokens", FAULT_COUNT, offsetof(struct faults, hang_after_tokens)},
    {"hang", FAULT_BOOL, offsetof(struct faults, hang)},
    {"hang_http", FAULT_BOOL, offsetof(struct faults, hang_http)},
    {"slow", FAULT_FACTOR, offsetof(struct faults, slow)},
    {"framing", FAULT_FRAMING, offsetof(struct faults, framing)},
    {"wake_fails", FAULT_COUNT, offsetof(struct faults, wake_fails)},
    {"wake_oom", FAULT_COUNT, offsetof(struct faults, wake_oom)},
    {"sleep_fails", FAULT_COUNT, offsetof(struct faults, sleep_fails)},
    {"error_500", FAULT_COUNT, offsetof(struct faults, error_500)},
    {"sleep_frees_nothing", FAULT_BOOL, offsetof(struct faults, sleep_frees_nothing)},
    {"ignore_abort", FAULT_BOOL, offsetof(struct faults, ignore_abort)},
    {"load_fails", FAULT_BOOL, offsetof(struct faults, load_fails)},
};

enum { FAULTS = sizeof table / sizeof *table };

static const char *const framings[] = {
    [FRAMING_NONE] = "none",           [FRAMING_BOTH_LENGTHS] = "both_lengths",
    [FRAMING_BAD_CHUNK] = "bad_chunk", [FRAMING_GARBAGE] = "garbage",
    [FRAMING_SHORT] = "short",
};

static const struct fault *fault_find(const char *name, size_t len)
{
    for (size_t i = 0; i < FAULTS; i++) {
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

static void *fault_at(struct faults *faults, const struct fault *fault)
{
    return (char *)faults + fault->offset;
}

static const char *set_framing(struct faults *faults, const char *value)
{
    for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
        if (strcmp(framings[i], value) == 0) {
            faults->framing = (enum framing_fault)i;
            return NULL;
        }
    }
    return "framing is none, both_lengths, bad_chunk, garbage or short";
}

const char *faults_set(struct faults *faults, const char *text)
{
    const char *equals = strchr(text, '=');
    const struct fault *fault = fault_find(text, equals ? (size_t)(equals - text) : strlen(text));
    const char *value = equals ? equals + 1 : "1";
    int64_t number = 0;
    if (!fault) {
        return "there is no such fault; `shunt help emulate` lists them";
    }
    if (fault->type == FAULT_FRAMING) {
        return set_framing(faults, value);
    }
    int exponent = fault->type == FAULT_FACTOR ? 6 : 0;
    if (decimal_parse(value, strlen(value), exponent, &number) || number < 0) {
        return "the value of this fault is a number, 0 or more";
    }
    if (fault->type == FAULT_BOOL) {
        *(bool *)fault_at(faults, fault) = number != 0;
    } else if (fault->type == FAULT_COUNT) {
        *(int64_t *)fault_at(faults, fault) = number;
    } else {
        *(double *)fault_at(faults, fault) = (double)number / 1e6;
    }
    return NULL;
}

static const char *set_json(struct faults *faults, const char *name, const json_t *value)
{
    char text[128];
    if (json_is_boolean(value)) {
        (void)snprintf(text, sizeof text, "%s=%d", name, json_is_true(value));
    } else if (json_is_string(value)) {
        (void)snprintf(text, sizeof text, "%s=%s", name, json_string_value(value));
    } else if (json_is_number(value)) {
        (void)snprintf(text, sizeof text, "%s=%.17g", name, json_number_value(value));
    } else {
        return "a fault's value is a boolean, a number or a string";
    }
    return faults_set(faults, text);
}

static void faults_answer(struct request *r, struct faults *faults)
{
    char text[1024];
    struct json_write w;
    json_write_init(&w, text, sizeof text - 1);
    json_write_object(&w);
    for (size_t i = 0; i < FAULTS; i++) {
        json_write_key(&w, table[i].name);
        switch (table[i].type) {
        case FAULT_BOOL:
            json_write_bool(&w, *(bool *)fault_at(faults, &table[i]));
            break;
        case FAULT_COUNT:
            json_write_int(&w, *(int64_t *)fault_at(faults, &table[i]));
            break;
        case FAULT_FACTOR:
            json_write_real(&w, *(double *)fault_at(faults, &table[i]), 6);
            break;
        case FAULT_FRAMING:
            json_write_string(&w, framings[faults->framing]);
            break;
        }
    }
    json_write_object_end(&w);
    text[w.len] = '\0';
    answer_json(r, 200, text);
}

void faults_request(struct emulator *e, struct request *r)
{
    if (r->method == HTTP_GET) {
        faults_answer(r, &e->options.faults);
        return;
    }
    json_error_t error;
    json_t *object =
        json_loadb(r->body.data ? r->body.data : "", r->body.len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(object)) {
        json_decref(object);
        answer_error(r, 400, "BadRequestError", "the body must be a JSON object of faults");
        return;
    }
    /* All or nothing; "clear" starts from none. */
    struct faults faults = e->options.faults;
    if (json_is_true(json_object_get(object, "clear"))) {
        faults = (struct faults){0};
    }
    const char *wrong = NULL, *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (!wrong && strcmp(name, "clear") != 0) {
            wrong = set_json(&faults, name, value);
        }
    }
    json_decref(object);
    if (wrong) {
        answer_error(r, 400, "BadRequestError", wrong);
        return;
    }
    e->bytes_out = 0;
    e->options.faults = faults;
    faults_answer(r, &e->options.faults);
    engine_kick(e);
    control_kick(e);
}

/*
 * Writes to the socket behind the server's back, which is otherwise forbidden: the server is built
 * so that it cannot send such an answer.
 */
bool faults_framing(struct emulator *e, struct request *r)
{
    const char *bytes;
    switch (e->options.faults.framing) {
    case FRAMING_BOTH_LENGTHS:
        bytes = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n"
                "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        break;
    case FRAMING_BAD_CHUNK:
        bytes = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                "Transfer-Encoding: chunked\r\n\r\nzz\r\ndata: x\r\n";
        break;
    case FRAMING_GARBAGE:
        bytes = "ICY 200 this is not HTTP\r\n\r\n";
        break;
    case FRAMING_NONE:
    case FRAMING_SHORT:
    default:
        return false;
    }
    struct server_conn *conn = r->conn;
    if (write(server_conn_fd(conn), bytes, strlen(bytes)) < 0) {
        /* The client has gone: nothing to break any more. */
    }
    server_abort(conn); /* request_done frees the request */
    return true;
}
