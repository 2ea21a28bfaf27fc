/*
 * The running host as the demo sees it: through its admin socket, as `shunt ctl` does, and its
 * public port. The status is asked for several times a second; everything else waits for that.
 */
#include "tools/demo_priv.h"

#include "tools/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const int64_t poll_every_ns = 100000000;
static const int64_t answer_ns = INT64_C(60) * 1000000000;
enum { ANSWER_BYTES_MAX = 4 << 20 };

const char *const demo_state_names[DEMO_STATES] = {"serving", "draining", "switching", "lingering",
                                                   "idle"};

/* One question: its request body must live until the answer is there. */
struct demo_call {
    struct demo *d;
    struct client_exchange *exchange;
    char *sent;
    struct text answer;
    unsigned status;
    bool over, too_long;
    enum client_result result;
    int64_t begun_ns;
};

/* --- Reading a status ------------------------------------------------------------------------- */

static double number(const json_t *object, const char *key, double absent)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : absent;
}

static uint64_t count(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

static void copy_text(char *to, size_t size, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    (void)snprintf(to, size, "%s", text ? text : "");
}

static void read_model(const struct demo *d, const json_t *json, struct demo_model_state *model,
                       char no_bound[256])
{
    const double x = d->options.time_scale;
    const json_t *bounds = json_object_get(json, "bounds");
    const json_t *instance = json_array_get(json_object_get(json, "instances"), 0);
    copy_text(model->state, sizeof model->state, instance, "state");
    model->queued = count(json, "queued");
    model->in_flight = count(json, "in_flight");
    model->completed = count(json, "completed");
    model->cut = count(json, "cut");
    model->oldest_s = number(json, "oldest_s", 0) * x;
    model->gap_max_s = number(json, "gap_max_s", 0) * x;
    model->gap_bound_s[0] = number(bounds, "gap_expected_s", -1) * x;
    model->gap_bound_s[1] = number(bounds, "gap_guaranteed_s", -1) * x;
    if (json_is_string(json_object_get(bounds, "reason"))) {
        copy_text(no_bound, 256, bounds, "reason");
    }
}

/* False if the answer is not what a host of this version says. */
static bool read_status(const struct demo *d, const json_t *json, struct demo_status *status)
{
    const double x = d->options.time_scale;
    const json_t *cell = json_array_get(json_object_get(json, "cells"), 0);
    const json_t *device = json_array_get(json_object_get(cell, "devices"), 0);
    const json_t *times = json_object_get(device, "time_s");
    const char *phase = json_string_value(json_object_get(json, "phase"));
    if (!phase || !times) {
        return false;
    }
    status->ready = strcmp(phase, "ready") == 0;
    copy_text(status->policy, sizeof status->policy, json_object_get(cell, "policy"), "id");
    copy_text(status->state, sizeof status->state, device, "state");
    for (size_t i = 0; i < DEMO_STATES; i++) {
        status->time_s[i] = number(times, demo_state_names[i], 0) * x;
    }
    status->batch_s = number(device, "mean_batch", 0) * status->time_s[0];
    status->switches = count(device, "switches");
    status->visits = count(device, "visits");
    status->forced = count(device, "visits_forced");
    size_t index, found = 0;
    const json_t *model;
    json_array_foreach(json_object_get(cell, "models"), index, model)
    {
        const char *name = json_string_value(json_object_get(model, "name"));
        for (size_t i = 0; name && i < DEMO_MODELS; i++) {
            if (strcmp(name, demo_models[i].name) == 0) {
                read_model(d, model, &status->models[i], status->no_bound);
                found++;
            }
        }
    }
    return found == DEMO_MODELS;
}

uint64_t demo_waiting(const struct demo_status *status)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        sum += status->models[i].queued;
    }
    return sum;
}

uint64_t demo_running(const struct demo_status *status)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        sum += status->models[i].in_flight;
    }
    return sum;
}

/* --- Calls ------------------------------------------------------------------------------------ */

static void on_head(struct client_exchange *exchange, const struct http_head *head, void *user)
{
    struct demo_call *call = user;
    (void)exchange;
    call->status = head->status;
}

static void on_body(struct client_exchange *exchange, struct span data, void *user)
{
    struct demo_call *call = user;
    (void)exchange;
    call->too_long = call->too_long || call->answer.len + data.len > ANSWER_BYTES_MAX ||
                     text_add(&call->answer, data) != 0;
}

static void on_done(struct client_exchange *exchange, enum client_result result, void *user)
{
    struct demo_call *call = user;
    (void)exchange;
    call->exchange = NULL;
    call->result = result;
    call->over = true;
}

static void call_free(struct demo_call *call)
{
    if (call) {
        if (call->exchange) {
            client_cancel(call->exchange);
        }
        free(call->sent);
        free(call->answer.data);
        free(call);
    }
}

static int call_begin(struct demo *d, struct client *client, const char *method, const char *path,
                      const json_t *body, const struct client_ops *ops, struct demo_call **ret_call)
{
    struct demo_call *call = calloc(1, sizeof *call);
    if (!call) {
        return -ENOMEM;
    }
    call->d = d;
    call->begun_ns = loop_now_ns(d->loop);
    call->sent = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct client_request request = {
        .method = span_of_string(method),
        .target = span_of_string(path),
        .fields = SPAN_LITERAL("Content-Type: application/json\r\n"),
        .body = {span_of_string(call->sent)},
        .body_len = call->sent != NULL,
        .connect_timeout_ns = answer_ns,
        .first_byte_timeout_ns = answer_ns,
        .between_bytes_timeout_ns = answer_ns,
    };
    int rc = client_send(client, &request, ops, call, &call->exchange);
    if (rc) {
        call_free(call);
        return rc;
    }
    *ret_call = call;
    return 0;
}

static json_t *call_answer(const struct demo_call *call)
{
    json_error_t error;
    bool whole = call->result == CLIENT_OK && !call->too_long && call->answer.len > 0;
    return whole ? json_loadb(call->answer.data, call->answer.len, 0, &error) : NULL;
}

static const struct client_ops ask_ops = {on_head, on_body, on_done};

static bool ask_over(struct demo *d)
{
    return d->ask_call->over;
}

/* What an answer means; takes the answer over. */
static int judge(struct demo *d, const char *path, json_t *answer, json_t **ret_answer)
{
    const struct demo_call *call = d->ask_call;
    int rc = 0;
    if (!answer) {
        rc = demo_fail(d, -EPROTO, "the host's admin interface, %s: %s", path,
                       call->result == CLIENT_OK ? "the answer is not JSON"
                                                 : client_result_name(call->result));
    } else if (call->status != 200) {
        const char *message =
            json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
        rc =
            demo_fail(d, -EPROTO, "the host refused %s: %s", path, message ? message : "no reason");
    } else if (ret_answer) {
        *ret_answer = json_incref(answer);
    }
    json_decref(answer);
    return rc;
}

int demo_host_ask(struct demo *d, const char *path, json_t *body, json_t **ret_answer)
{
    int rc = call_begin(d, d->admin, "POST", path, body, &ask_ops, &d->ask_call);
    json_decref(body);
    if (rc) {
        return demo_fail(d, rc, "cannot ask the host %s: %s", path, strerror(-rc));
    }
    rc = demo_wait(d, ask_over, 60, "an answer of the admin interface");
    rc = rc ? rc : judge(d, path, call_answer(d->ask_call), ret_answer);
    call_free(d->ask_call);
    d->ask_call = NULL;
    return rc;
}

bool demo_host_answers(struct demo *d, const char *path)
{
    bool good = false;
    if (call_begin(d, d->front, "GET", path, NULL, &ask_ops, &d->ask_call) == 0) {
        good = demo_wait(d, ask_over, 10, path) == 0 && d->ask_call->result == CLIENT_OK &&
               d->ask_call->status == 200;
        call_free(d->ask_call);
        d->ask_call = NULL;
    }
    return good;
}

/* --- Watching --------------------------------------------------------------------------------- */

static void on_status(struct client_exchange *exchange, enum client_result result, void *user)
{
    struct demo_call *call = user;
    struct demo *d = call->d;
    on_done(exchange, result, user);
    json_t *answer = call_answer(call);
    struct demo_status status = {.taken_ns = call->begun_ns};
    if (answer && call->status == 200 && read_status(d, answer, &status)) {
        d->status = status;
        demo_view_update(d);
    }
    json_decref(answer);
    call_free(call);
    d->poll_call = NULL;
}

static void on_poll(struct loop_timer *timer)
{
    static const struct client_ops ops = {on_head, on_body, on_status};
    struct demo *d = (struct demo *)(void *)((char *)timer - offsetof(struct demo, poll));
    if (d->admin && !d->poll_call) {
        (void)call_begin(d, d->admin, "GET", "/status", NULL, &ops, &d->poll_call);
    }
    loop_timer_set(timer, loop_now_ns(d->loop) + poll_every_ns);
}

void demo_host_begin(struct demo *d)
{
    loop_timer_init(&d->poll, d->loop, on_poll);
    loop_timer_set(&d->poll, loop_now_ns(d->loop));
}

int demo_host_watch(struct demo *d)
{
    char origin[160];
    struct client_options options = client_options_default;
    options.origin = origin;
    options.http.body_max_bytes = ANSWER_BYTES_MAX;
    (void)snprintf(origin, sizeof origin, "unix:%s", d->socket);
    int rc = client_create(d->loop, &options, &d->admin);
    (void)snprintf(origin, sizeof origin, "127.0.0.1:%d", d->port);
    rc = rc ? rc : client_create(d->loop, &options, &d->front);
    return rc ? demo_fail(d, rc, "cannot make a client: %s", strerror(-rc)) : 0;
}

void demo_host_end(struct demo *d)
{
    loop_timer_fini(&d->poll);
    call_free(d->poll_call);
    d->poll_call = NULL;
    client_destroy(d->admin);
    client_destroy(d->front);
    d->admin = d->front = NULL;
}

int demo_wait(struct demo *d, bool (*ready)(struct demo *), double limit_real_s, const char *what)
{
    int64_t due_ns = loop_now_ns(d->loop) + (int64_t)(limit_real_s * 1e9);
    while (!ready(d)) {
        if (d->caught) {
            return demo_fail(d, -ECANCELED, "interrupted");
        }
        if (d->admin && demo_child_over(&d->host)) {
            return demo_fail(d, -ECHILD, "the host ended while the demo waited for %s", what);
        }
        if (ferror(d->out)) {
            return demo_fail(d, -EPIPE, "nobody reads what it prints");
        }
        if (loop_now_ns(d->loop) > due_ns) {
            return demo_fail(d, -ETIMEDOUT, "waited %.0f s for %s", limit_real_s, what);
        }
        (void)loop_run_once(d->loop, true); /* the poll timer ends each wait */
    }
    return 0;
}

static bool status_fresh(struct demo *d)
{
    return d->status.taken_ns >= d->status_wanted_ns;
}

int demo_status_fresh(struct demo *d)
{
    d->status_wanted_ns = loop_now_ns(d->loop);
    loop_timer_set(&d->poll, d->status_wanted_ns);
    return demo_wait(d, status_fresh, 60, "the host's status");
}
