/* Verbs about policies: list, show, swap, set, explain, dump. */
#include "host/admin/admin_priv.h"

#include "base/config.h"
#include "base/params.h"
#include "host/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static json_t *slot_json(const struct cell *cell, uint32_t index)
{
    struct cell_slot_view slot;
    cell_slot_view(cell, index, &slot);
    if (!slot.filled) {
        return NULL;
    }
    return json_pack("{s:i, s:b, s:b, s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:o}", "slot", (int)index,
                     "selected", (int)slot.selected, "rollback", (int)slot.rollback, "id", slot.id,
                     "version", slot.version, "reference", slot.reference, "hash", slot.hash,
                     "decisions", (json_int_t)slot.decisions, "faults", (json_int_t)slot.faults,
                     "decide_max_us", (double)slot.decide_max_ns / 1e3, "loaded_for_s",
                     admin_seconds(cell_now_ns(cell) - slot.since_ns));
}

void admin_policy_list(struct admin_call *call)
{
    const struct worker *worker = call->admin->worker;
    json_t *cells = json_array();
    for (uint32_t c = 0; c < worker_cell_count(worker); c++) {
        const struct cell *cell = worker_cell(worker, c);
        json_t *slots = json_array();
        for (uint32_t i = 0; i < cell_slot_count(cell); i++) {
            json_t *slot = slot_json(cell, i);
            if (slot) {
                (void)json_array_append_new(slots, slot);
            }
        }
        (void)json_array_append_new(
            cells, json_pack("{s:s, s:b, s:o}", "cell", cell_name(cell), "builtin_selected",
                             cell_slot_selected(cell) == CORE_NONE, "policies", slots));
    }
    admin_answer(call, json_pack("{s:o}", "cells", cells));
}

/* ------------------------------------------------------------------ show */

static json_t *value_json(const struct params *params, uint32_t index, uint32_t model,
                          const char *name)
{
    char text[PARAMS_TEXT_BYTES_MAX];
    if (params_format(params, index, model, text, sizeof text)) {
        text[0] = '\0';
    }
    return json_pack("{s:s, s:s, s:s}", "model", name, "value", text, "origin",
                     param_origin_name(params_origin(params, index, model)));
}

static json_t *param_json(const struct cell *cell, const struct params *params, uint32_t index)
{
    const struct shunt_param_info *info = &params_schema_of(params)->info[index];
    char text[PARAMS_TEXT_BYTES_MAX];
    if (params_format(params, index, 0, text, sizeof text)) {
        text[0] = '\0';
    }
    json_t *json = json_pack("{s:s, s:s, s:s, s:b, s:o, s:o}", "name", info->name, "type",
                             param_type_name(info->type), "origin",
                             param_origin_name(params_origin(params, index, 0)), "live",
                             (info->flags & SHUNT_PARAM_LIVE) != 0, "unit",
                             admin_text_or_null(info->unit), "doc", admin_text_or_null(info->doc));
    if (!(info->flags & SHUNT_PARAM_PER_MODEL)) {
        (void)json_object_set_new(json, "value", json_string(text));
        return json;
    }
    json_t *models = json_array();
    for (uint32_t m = 0; m < params_model_count(params) && m < cell_model_count(cell); m++) {
        (void)json_array_append_new(models, value_json(params, index, m, cell_model_name(cell, m)));
    }
    (void)json_object_set_new(json, "models", models);
    return json;
}

void admin_policy_show(struct admin_call *call)
{
    const struct cell *cell = admin_cell(call);
    if (!cell) {
        return;
    }
    uint32_t selected = cell_slot_selected(cell);
    const char *id;
    if (!admin_text(call, "policy", false, &id)) {
        return;
    }
    for (uint32_t i = 0; id && i < cell_slot_count(cell); i++) {
        struct cell_slot_view slot;
        cell_slot_view(cell, i, &slot);
        if (slot.filled && strcmp(slot.id, id) == 0) {
            selected = i;
            id = NULL;
        }
    }
    if (id || selected == CORE_NONE) {
        if (id) {
            admin_refuse(call, 404, "no policy \"%s\" is loaded", id);
        } else {
            admin_answer(
                call, json_pack("{s:s, s:s, s:[]}", "id", "fifo", "hash", "builtin", "parameters"));
        }
        return;
    }
    json_t *answer = slot_json(cell, selected);
    const struct params *params = cell_slot_params(cell, selected);
    json_t *list = json_array();
    for (uint32_t i = 0; params && i < params_schema_of(params)->count; i++) {
        (void)json_array_append_new(list, param_json(cell, params, i));
    }
    (void)json_object_set_new(answer, "parameters", list);
    admin_answer(call, answer);
}

/* ------------------------------------------------------------------ swap and set */

void admin_policy_swap(struct admin_call *call)
{
    struct cell *cell = admin_cell(call);
    struct cell_swap swap = {.save = json_is_true(json_object_get(call->args, "save"))};
    if (!cell || !admin_text(call, "policy", true, &swap.reference) ||
        !admin_text(call, "isolation", false, &swap.isolation)) {
        return;
    }
    const json_t *probation = json_object_get(call->args, "probation_s");
    double seconds = json_number_value(probation);
    if (probation && (!json_is_number(probation) || !(seconds >= 0 && seconds <= 86400))) {
        admin_refuse(call, 400, "\"probation_s\" must be a number from 0 to 86400");
        return;
    }
    swap.probation_ns = probation ? (int64_t)(seconds * 1e9)
                                  : worker_config(call->admin->worker)->policy.probation_ns;
    admin_hold(call);
    int rc = cell_policy_swap(cell, &swap, admin_done, call);
    if (rc) {
        admin_done(call, rc,
                   rc == -EBUSY ? "another swap is under way; try again when it is done"
                                : strerror(-rc));
    }
}

static void done_or_refuse(struct admin_call *call, int rc, const char *err, const char *message)
{
    if (rc) {
        admin_refuse(call, admin_status_of(rc), "%s", err[0] ? err : strerror(-rc));
        return;
    }
    LOG(LOG_INFO, log_event("admin_done"), log_str("verb", call->verb->name),
        log_str("message", message));
    admin_answer(call, json_pack("{s:s}", "message", message));
}

void admin_policy_rollback(struct admin_call *call)
{
    struct cell *cell = admin_cell(call);
    char err[CELL_ERROR_BYTES_MAX] = "";
    if (cell) {
        int rc = cell_policy_rollback(cell, err, sizeof err);
        done_or_refuse(call, rc, err, "the predecessor decides again");
    }
}

void admin_policy_confirm(struct admin_call *call)
{
    struct cell *cell = admin_cell(call);
    char err[CELL_ERROR_BYTES_MAX] = "";
    if (cell) {
        int rc = cell_policy_confirm(cell, err, sizeof err);
        done_or_refuse(call, rc, err, "the policy is confirmed; there is no way back by pointer");
    }
}

void admin_policy_set(struct admin_call *call)
{
    struct cell *cell = admin_cell(call);
    const json_t *list = json_object_get(call->args, "set");
    char err[CELL_ERROR_BYTES_MAX] = "";
    if (!cell) {
        return;
    }
    size_t count = json_array_size(list);
    if (count < 1 || count > CONFIG_PARAMS_MAX) {
        admin_refuse(call, 400, "\"set\" must be a list of 1 to %d texts NAME=VALUE",
                     CONFIG_PARAMS_MAX);
        return;
    }
    struct param_assignment *set = calloc(count, sizeof *set);
    char **texts = calloc(count, sizeof *texts);
    int rc = set && texts ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        texts[i] = text ? strdup(text) : NULL;
        rc = texts[i] ? param_assignment_split(texts[i], &set[i], err, sizeof err) : -EINVAL;
    }
    if (rc == 0) {
        rc = cell_policy_set(cell, set, count, json_is_true(json_object_get(call->args, "save")),
                             err, sizeof err);
    }
    done_or_refuse(call, rc, err, "set; in force from the next decision");
    for (size_t i = 0; texts && i < count; i++) {
        free(texts[i]);
    }
    free(texts);
    free(set);
}

/* ------------------------------------------------------------------ the policy's own words */

static void answer_text(struct admin_call *call, char *text, int len)
{
    if (len < 0) {
        admin_refuse(call, admin_status_of(len), "%s",
                     len == -ENOENT ? "the policy has nothing to say about this" : strerror(-len));
        return;
    }
    json_t *value = json_stringn(text, (size_t)len);
    if (!value) {
        admin_refuse(call, 500, "the policy's text is not UTF-8");
        return;
    }
    admin_answer(call, json_pack("{s:o}", "text", value));
}

void admin_policy_dump(struct admin_call *call)
{
    struct cell *cell = admin_cell(call);
    char *text = cell ? malloc(ADMIN_TEXT_BYTES_MAX) : NULL;
    if (text) {
        answer_text(call, text, cell_policy_dump(cell, text, ADMIN_TEXT_BYTES_MAX));
    } else if (cell) {
        admin_refuse(call, 503, "out of memory");
    }
    free(text);
}

void admin_policy_explain(struct admin_call *call)
{
    struct cell *cell = admin_cell(call);
    if (!cell) {
        return;
    }
    char text[8192];
    json_int_t decision = json_integer_value(json_object_get(call->args, "decision"));
    answer_text(call, text, cell_policy_explain(cell, (uint64_t)decision, text, sizeof text));
}
