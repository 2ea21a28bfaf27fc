/* state_dir/active: run-time changes as JSON, replaced as a whole. See active.h. */
#include "host/worker/active.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * {"version": 1, "run": "HEX", "cells": {NAME: {
 *     "policy": {"reference": R, "saved": B},
 *     "params": [{"name": N, "model": M or null, "text": T, "saved": B}...],
 *     "pins": {MODEL: true...}}}}
 */
struct active {
    char *path;
    json_t *root;
    bool changed;
};

static bool is_kept(const json_t *item, bool same_run, bool ignore)
{
    return same_run || (!ignore && json_is_true(json_object_get(item, "saved")));
}

/* Drops what another run of the host did not save. */
static void drop_unsaved(struct active *active, bool same_run, bool ignore)
{
    const char *name;
    json_t *cell;
    json_object_foreach(json_object_get(active->root, "cells"), name, cell)
    {
        bool policy_kept = true;
        json_t *policy = json_object_get(cell, "policy");
        if (policy && !is_kept(policy, same_run, ignore)) {
            policy_kept = false;
            (void)json_object_del(cell, "policy");
        }
        json_t *params = json_object_get(cell, "params");
        for (size_t i = json_array_size(params); i > 0; i--) {
            if (!policy_kept || !is_kept(json_array_get(params, i - 1), same_run, ignore)) {
                (void)json_array_remove(params, i - 1);
            }
        }
        if (ignore && !same_run) {
            (void)json_object_del(cell, "pins");
        }
    }
}

int active_open(const char *state_dir, uint64_t run, bool ignore, struct active **ret_active,
                char *err, size_t err_size)
{
    char path[4200];
    char hex[24];
    (void)snprintf(path, sizeof(path), "%s/active", state_dir);
    (void)snprintf(hex, sizeof(hex), "%016" PRIx64, run);
    struct active *active = calloc(1, sizeof(*active));
    if (!active) {
        return -ENOMEM;
    }
    active->path = strdup(path);
    json_error_t error;
    active->root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!active->root && access(path, F_OK) == 0 && !ignore) {
        (void)snprintf(err, err_size, "%s:%d: %s; remove the file or start with --from-config",
                       path, error.line, error.text);
        active_close(active);
        return -EINVAL;
    }
    if (!json_is_object(active->root)) {
        json_decref(active->root);
        active->root = json_pack("{s:i, s:{}}", "version", 1, "cells");
    }
    const char *before = json_string_value(json_object_get(active->root, "run"));
    drop_unsaved(active, before && strcmp(before, hex) == 0, ignore);
    (void)json_object_set_new(active->root, "run", json_string(hex));
    *ret_active = active;
    return 0;
}

void active_close(struct active *active)
{
    if (active) {
        json_decref(active->root);
        free(active->path);
        free(active);
    }
}

static const json_t *cell_of(const struct active *active, const char *cell)
{
    return json_object_get(json_object_get(active->root, "cells"), cell);
}

static json_t *cell_make(struct active *active, const char *cell)
{
    json_t *cells = json_object_get(active->root, "cells");
    if (!cells) {
        (void)json_object_set_new(active->root, "cells", json_object());
        cells = json_object_get(active->root, "cells");
    }
    json_t *it = json_object_get(cells, cell);
    if (!it) {
        (void)json_object_set_new(cells, cell, json_pack("{s:[], s:{}}", "params", "pins"));
        it = json_object_get(cells, cell);
    }
    active->changed = true;
    return it;
}

const char *active_policy(const struct active *active, const char *cell)
{
    const json_t *policy = json_object_get(cell_of(active, cell), "policy");
    return json_string_value(json_object_get(policy, "reference"));
}

int active_set_policy(struct active *active, const char *cell, const char *reference, bool save)
{
    json_t *it = cell_make(active, cell);
    int rc = json_object_set_new(it, "params", json_array());
    if (reference) {
        rc = rc ? rc
                : json_object_set_new(
                      it, "policy",
                      json_pack("{s:s, s:b}", "reference", reference, "saved", (int)save));
    } else {
        (void)json_object_del(it, "policy");
    }
    return rc ? -ENOMEM : 0;
}

int active_params(const struct active *active, const char *cell, active_param *each, void *ctx)
{
    size_t i;
    const json_t *params = json_object_get(cell_of(active, cell), "params");
    for (i = 0; i < json_array_size(params); i++) {
        const json_t *p = json_array_get(params, i);
        const char *name = json_string_value(json_object_get(p, "name"));
        const char *text = json_string_value(json_object_get(p, "text"));
        if (name && text) {
            int rc = each(ctx, name, json_string_value(json_object_get(p, "model")), text);
            if (rc) {
                return rc;
            }
        }
    }
    return 0;
}

static bool same_text(const json_t *value, const char *text)
{
    const char *have = json_string_value(value);
    return have && text ? strcmp(have, text) == 0 : !have && !text;
}

int active_set_param(struct active *active, const char *cell, const char *name, const char *model,
                     const char *text, bool save)
{
    json_t *params = json_object_get(cell_make(active, cell), "params");
    for (size_t i = json_array_size(params); i > 0; i--) {
        const json_t *p = json_array_get(params, i - 1);
        if (same_text(json_object_get(p, "name"), name) &&
            (!model || same_text(json_object_get(p, "model"), model))) {
            (void)json_array_remove(params, i - 1);
        }
    }
    json_t *p = json_pack("{s:s, s:s?, s:s, s:b}", "name", name, "model", model, "text", text,
                          "saved", (int)save);
    return json_array_append_new(params, p) ? -ENOMEM : 0;
}

bool active_pinned(const struct active *active, const char *cell, const char *model)
{
    return json_is_true(json_object_get(json_object_get(cell_of(active, cell), "pins"), model));
}

int active_set_pin(struct active *active, const char *cell, const char *model, bool pinned)
{
    json_t *it = cell_make(active, cell);
    if (!json_object_get(it, "pins")) {
        (void)json_object_set_new(it, "pins", json_object());
    }
    json_t *pins = json_object_get(it, "pins");
    if (!pinned) {
        (void)json_object_del(pins, model);
        return 0;
    }
    return json_object_set_new(pins, model, json_true()) ? -ENOMEM : 0;
}

int active_flush(struct active *active)
{
    char part[4300];
    if (!active->changed) {
        return 0;
    }
    /* Not synced: a crash of the machine may lose the last change, a crash of shunt does not, and
     * the loop does not wait for a disk. */
    (void)snprintf(part, sizeof(part), "%s.part", active->path);
    if (json_dump_file(active->root, part, JSON_INDENT(2) | JSON_SORT_KEYS) != 0) {
        return -EIO;
    }
    if (rename(part, active->path) != 0) {
        return -errno;
    }
    active->changed = false;
    return 0;
}
