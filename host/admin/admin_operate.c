/* Verbs that change what runs: load, unload, pin, drain, reload; and the logs of engines. */
#include "host/admin/admin_priv.h"

#include "base/config.h"
#include "host/log.h"

#include <stdio.h>
#include <string.h>

static void operate(struct admin_call *call, enum core_operation operation, const char *done)
{
    const char *name;
    struct cell *cell;
    uint32_t model;
    char err[CELL_ERROR_BYTES_MAX] = "";
    if (!admin_text(call, "model", true, &name)) {
        return;
    }
    if (worker_route(call->admin->worker, span_of_string(name), &cell, &model)) {
        admin_refuse(call, 404, "there is no model \"%s\"", name);
        return;
    }
    int rc = cell_operate(cell, operation, model, err, sizeof err);
    if (rc) {
        admin_refuse(call, admin_status_of(rc), "%s", err[0] ? err : strerror(-rc));
        return;
    }
    char message[512];
    (void)snprintf(message, sizeof message, "%s: %s", cell_model_name(cell, model), done);
    LOG(LOG_INFO, log_event("admin_done"), log_str("verb", call->verb->name),
        log_str("message", message));
    admin_answer(
        call, json_pack("{s:s, s:s}", "message", message, "model", cell_model_name(cell, model)));
}

void admin_load(struct admin_call *call)
{
    operate(call, CORE_OP_LOAD, "is being brought in");
}

void admin_unload(struct admin_call *call)
{
    operate(call, CORE_OP_UNLOAD, "is being moved out");
}

void admin_pin(struct admin_call *call)
{
    operate(call, CORE_OP_PIN, "stays in until it is unpinned");
}

void admin_unpin(struct admin_call *call)
{
    operate(call, CORE_OP_UNPIN, "may be moved out again");
}

void admin_drain(struct admin_call *call)
{
    LOG(LOG_INFO, log_event("admin_done"), log_str("verb", "drain"));
    admin_answer(call, json_pack("{s:s}", "message",
                                 "no new request is accepted; the host ends when those it holds "
                                 "have ended"));
    worker_drain(call->admin->worker);
}

void admin_reload(struct admin_call *call)
{
    admin_hold(call);
    worker_reload(call->admin->worker, admin_done, call);
}

/* ------------------------------------------------------------------ logs */

static void logs_done(void *ctx, int result, const char *message)
{
    struct admin_call *call = ctx;
    if (result == 0 && call->conn) {
        /* What an engine prints may hold any byte. */
        size_t len = strlen(message);
        json_t *text = json_stringn(message, len);
        if (!text) {
            char *clean = strdup(message);
            for (char *c = clean; c && *c; c++) {
                if ((unsigned char)*c >= 0x80) {
                    *c = '?';
                }
            }
            text = clean ? json_string(clean) : NULL;
            free(clean);
        }
        admin_answer(call, text ? json_pack("{s:o}", "text", text) : NULL);
        call->pending = false;
        return;
    }
    admin_done(ctx, result, message);
}

void admin_logs(struct admin_call *call)
{
    const char *name;
    struct cell *cell;
    uint32_t model;
    if (!admin_text(call, "model", true, &name)) {
        return;
    }
    if (worker_route(call->admin->worker, span_of_string(name), &cell, &model)) {
        admin_refuse(call, 404, "there is no model \"%s\"", name);
        return;
    }
    json_int_t bytes = 65536;
    const json_t *asked = json_object_get(call->args, "bytes");
    if (asked) {
        bytes = json_integer_value(asked);
        if (bytes < 1 || bytes > ADMIN_TEXT_BYTES_MAX) {
            admin_refuse(call, 400, "\"bytes\" must be from 1 to %d", ADMIN_TEXT_BYTES_MAX);
            return;
        }
    }
    admin_hold(call);
    worker_engine_log(call->admin->worker, cell_model_name(cell, model), (size_t)bytes, logs_done,
                      call);
}
