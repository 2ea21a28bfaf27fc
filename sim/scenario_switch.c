/* What switches cost: `switch` of a scenario as the tables that runs look up. */
#include "sim/scenario_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Tables while they are filled; scenario_switch has them as constants. */
struct tables {
    uint32_t models;
    uint32_t devices;
    int64_t *matrix_ns;
    int64_t *from_empty_ns;
    int64_t *to_empty_ns;
    int64_t *out_ns;
    int64_t *in_ns;
    int64_t *probe_ns;
    struct config_tiers tiers;             /* named by `tiers` */
    int64_t tier_out_ns[SHUNT_TIER_COUNT]; /* -1: not named */
    int64_t tier_in_ns[SHUNT_TIER_COUNT];
};

static int make_tables(struct scenario_reader *reader, struct tables *t)
{
    struct scenario_switch *sw = &reader->scenario->switching;
    t->models = reader->scenario->config->model_count;
    size_t n = t->models;
    t->matrix_ns = scenario_alloc(reader, n * n, sizeof(int64_t));
    t->from_empty_ns = scenario_alloc(reader, n, sizeof(int64_t));
    t->to_empty_ns = scenario_alloc(reader, n, sizeof(int64_t));
    t->out_ns = scenario_alloc(reader, n * SHUNT_TIER_COUNT, sizeof(int64_t));
    t->in_ns = scenario_alloc(reader, n * SHUNT_TIER_COUNT, sizeof(int64_t));
    t->probe_ns = scenario_alloc(reader, n, sizeof(int64_t));
    if (!t->matrix_ns || !t->from_empty_ns || !t->to_empty_ns || !t->out_ns || !t->in_ns ||
        !t->probe_ns) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < n * SHUNT_TIER_COUNT; i++) {
        t->out_ns[i] = -1;
        t->in_ns[i] = -1;
    }
    for (uint32_t tier = 0; tier < SHUNT_TIER_COUNT; tier++) {
        t->tier_out_ns[tier] = -1;
        t->tier_in_ns[tier] = -1;
    }
    sw->matrix_ns = t->matrix_ns;
    sw->from_empty_ns = t->from_empty_ns;
    sw->to_empty_ns = t->to_empty_ns;
    sw->out_ns = t->out_ns;
    sw->in_ns = t->in_ns;
    sw->probe_ns = t->probe_ns;
    return 0;
}

static uint32_t first_tier(const struct scenario_reader *reader, uint32_t model)
{
    const struct config_tiers *tiers = &reader->scenario->config->models[model].tiers;
    assert(tiers->count > 0);
    return tiers->tier[0];
}

/* ------------------------------------------------------------------ tiers */

int scenario_read_tiers(struct scenario_reader *reader, struct config_tiers *ret_tiers)
{
    *ret_tiers = (struct config_tiers){.count = 0};
    struct yaml_node *map = NULL, *tiers = NULL;
    int rc = scenario_map(reader, reader->root, "", "switch", &map);
    rc = rc ? rc : scenario_map(reader, map, "switch", "tiers", &tiers);
    if (rc || !tiers) {
        return rc;
    }
    if (tiers->count == 0) {
        return yaml_fail(reader->yaml, tiers, "tiers: names none");
    }
    for (struct yaml_node *node = tiers->child; node; node = node->next) {
        int tier = config_tier_find(node->key);
        if (tier < 0 || tier == SHUNT_TIER_RESIDENT) {
            return yaml_fail(reader->yaml, node,
                             "%.60s: is not one of asleep, staged, discarded, suspended, stopped",
                             node->key);
        }
        /* The keys of a mapping differ, so these do. */
        ret_tiers->tier[ret_tiers->count++] = (uint32_t)tier;
    }
    return 0;
}

static int read_tier_times(struct scenario_reader *reader, struct yaml_node *map, struct tables *t)
{
    static const char group[] = "switch.tiers.TIER";
    int rc = scenario_read_tiers(reader, &t->tiers);
    struct yaml_node *tiers = NULL;
    rc = rc ? rc : scenario_map(reader, map, "switch", "tiers", &tiers);
    for (uint32_t i = 0; rc == 0 && i < t->tiers.count; i++) {
        uint32_t tier = t->tiers.tier[i];
        struct yaml_node *node = yaml_get(tiers, config_tier_name(tier));
        rc = scenario_time(reader, node, group, "out_s", &t->tier_out_ns[tier]);
        rc = rc ? rc : scenario_time(reader, node, group, "in_s", &t->tier_in_ns[tier]);
        rc = rc ? rc : yaml_end(reader->yaml, node);
    }
    return rc;
}

/* ------------------------------------------------------------------ the three ways */

static int read_matrix(struct scenario_reader *reader, struct yaml_node *rows, struct tables *t)
{
    uint32_t n = t->models;
    if (rows->count != n) {
        return yaml_fail(reader->yaml, rows, "matrix_s: has %u rows; wants %u, one for each model",
                         rows->count, n);
    }
    uint32_t from = 0;
    for (const struct yaml_node *row = rows->child; row; row = row->next, from++) {
        int64_t *to = &t->matrix_ns[(size_t)from * n];
        int rc =
            scenario_times(reader, (struct yaml_node *)(uintptr_t)row, "switch", "matrix_s", n, to);
        if (rc) {
            return rc;
        }
        if (to[from] != 0) {
            return yaml_fail(reader->yaml, row,
                             "matrix_s: a model does not switch to itself; the diagonal is 0");
        }
    }
    return 0;
}

static int64_t largest_of_column(const struct tables *t, uint32_t to)
{
    int64_t largest = 0;
    for (uint32_t from = 0; from < t->models; from++) {
        int64_t ns = t->matrix_ns[(size_t)from * t->models + to];
        largest = ns > largest ? ns : largest;
    }
    return largest;
}

/* from_empty_s or to_empty_s; `ret_there` if the file has it. */
static int read_empty(struct scenario_reader *reader, struct yaml_node *map, const char *key,
                      const struct tables *t, int64_t *times, bool *ret_there)
{
    struct yaml_node *list = NULL;
    int rc = scenario_list(reader, map, "switch", key, &list);
    *ret_there = list != NULL;
    return rc || !list ? rc : scenario_times(reader, list, "switch", key, t->models, times);
}

static int by_matrix(struct scenario_reader *reader, struct yaml_node *map, struct yaml_node *rows,
                     struct tables *t)
{
    bool from_empty = false, to_empty = false;
    int rc = read_matrix(reader, rows, t);
    rc = rc ? rc : read_empty(reader, map, "from_empty_s", t, t->from_empty_ns, &from_empty);
    rc = rc ? rc : read_empty(reader, map, "to_empty_s", t, t->to_empty_ns, &to_empty);
    for (uint32_t m = 0; rc == 0 && m < t->models; m++) {
        uint32_t first = first_tier(reader, m);
        bool said = t->tier_in_ns[first] >= 0;
        if (!from_empty) {
            t->from_empty_ns[m] = said ? t->tier_in_ns[first] : largest_of_column(t, m);
        }
        if (!to_empty) {
            t->to_empty_ns[m] = said ? t->tier_out_ns[first] : 0;
        }
        for (uint32_t tier = 0; tier < SHUNT_TIER_COUNT; tier++) {
            size_t at = (size_t)m * SHUNT_TIER_COUNT + tier;
            t->out_ns[at] = tier == first ? -1 : t->tier_out_ns[tier];
            t->in_ns[at] = tier == first ? -1 : t->tier_in_ns[tier];
        }
    }
    reader->scenario->switching.kind = SCENARIO_COST_MATRIX;
    reader->scenario->cost_profile = "matrix";
    return rc;
}

/* All tiers of one model, from what its first tier costs (-1: that is as `tiers` says). */
static void spread(struct scenario_reader *reader, struct tables *t, uint32_t m, int64_t out_ns,
                   int64_t in_ns)
{
    const struct config_tiers *tiers = &reader->scenario->config->models[m].tiers;
    uint32_t first = first_tier(reader, m), wanted = 1u << SHUNT_TIER_STOPPED;
    for (uint32_t i = 0; i < tiers->count; i++) {
        wanted |= 1u << tiers->tier[i];
    }
    if (in_ns < 0) {
        out_ns = t->tier_out_ns[first];
        in_ns = t->tier_in_ns[first];
    }
    for (uint32_t tier = 0; tier < SHUNT_TIER_RESIDENT; tier++) {
        size_t at = (size_t)m * SHUNT_TIER_COUNT + tier;
        bool said = tier != first && t->tier_in_ns[tier] >= 0;
        if (!(wanted >> tier & 1)) {
            continue;
        }
        t->out_ns[at] = said ? t->tier_out_ns[tier] : out_ns;
        t->in_ns[at] = said ? t->tier_in_ns[tier] : in_ns;
    }
}

static int one_model(struct scenario_reader *reader, struct yaml_node *node, struct tables *t,
                     bool *done)
{
    static const char group[] = "switch.per_model.MODEL";
    uint32_t m = 0;
    int64_t out_ns = 0, in_ns = 0;
    int rc = scenario_find_model(reader, node, node->key, &m);
    rc = rc ? rc : scenario_time(reader, node, group, "sleep_s", &out_ns);
    rc = rc ? rc : scenario_time(reader, node, group, "wake_s", &in_ns);
    rc = rc ? rc : scenario_time(reader, node, group, "probe_s", &t->probe_ns[m]);
    rc = rc ? rc : yaml_end(reader->yaml, node);
    if (rc == 0) {
        spread(reader, t, m, out_ns, in_ns);
        done[m] = true;
    }
    return rc;
}

/* MAP may be NULL: all of it stands in `tiers`. */
static int by_model(struct scenario_reader *reader, struct yaml_node *sw, struct yaml_node *map,
                    struct tables *t)
{
    bool *done = scenario_alloc(reader, t->models, sizeof *done);
    if (!done) {
        return -ENOMEM;
    }
    for (struct yaml_node *node = map ? map->child : NULL; node; node = node->next) {
        node->used = true;
        int rc = one_model(reader, node, t, done);
        if (rc) {
            return rc;
        }
    }
    for (uint32_t m = 0; m < t->models; m++) {
        if (!done[m] && t->tier_in_ns[first_tier(reader, m)] < 0) {
            return yaml_fail(reader->yaml, map ? map : sw,
                             "%s: says nothing of model %s; add {sleep_s, wake_s} for it, or its "
                             "first tier (%s) to tiers",
                             map ? "per_model" : "switch", reader->scenario->config->models[m].name,
                             config_tier_name(first_tier(reader, m)));
        }
        if (!done[m]) {
            spread(reader, t, m, -1, -1);
        }
    }
    reader->scenario->switching.kind = SCENARIO_COST_MODEL;
    reader->scenario->cost_profile = map ? "per_model" : "tiers";
    return 0;
}

/* The row of a profile that holds for a model; -EINVAL at its place. */
static int profile_row(struct scenario_reader *reader, struct yaml_node *model, uint32_t m,
                       const struct yaml_node *profile, const struct scenario_profile_row *rows,
                       uint32_t count, uint32_t *ret_row)
{
    char place[16];
    (void)snprintf(place, sizeof place, "%" PRIu32, m);
    const char *text = place;
    int rc = scenario_text(reader, model, "models[]", "cost_class", &text);
    if (rc) {
        return rc;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(rows[i].cls, text) == 0 || strcmp(rows[i].size, text) == 0) {
            *ret_row = i;
            return 0;
        }
    }
    struct yaml_node *said = yaml_get(model, "cost_class");
    return yaml_fail(reader->yaml, said ? said : profile,
                     "cost_class: the profile has no class or size \"%.60s\" for model %s", text,
                     reader->scenario->config->models[m].name);
}

static int by_profile(struct scenario_reader *reader, struct yaml_node *map,
                      struct yaml_node *const *nodes, struct tables *t)
{
    static const char group[] = "switch.profile";
    const char *file = NULL, *name = NULL;
    int64_t n_classes = 0;
    int rc = scenario_text(reader, map, group, "file", &file);
    rc = rc ? rc : scenario_text(reader, map, group, "name", &name);
    rc = rc ? rc : scenario_int(reader, map, group, "n_classes", &n_classes);
    rc = rc ? rc : yaml_end(reader->yaml, map);
    if (rc) {
        return rc;
    }
    const struct scenario_profile_row *rows = NULL;
    uint32_t count = 0;
    rc = scenario_read_profile(reader, yaml_get(map, "file"), file, name, n_classes, &rows, &count);
    struct scenario_model *models = (struct scenario_model *)(uintptr_t)reader->scenario->models;
    for (uint32_t m = 0; rc == 0 && m < t->models; m++) {
        uint32_t row = 0;
        rc = profile_row(reader, nodes ? nodes[m] : NULL, m, map, rows, count, &row);
        if (rc == 0) {
            models[m].cost_class = row;
            spread(reader, t, m, rows[row].out_ns, rows[row].in_ns);
        }
    }
    reader->scenario->switching.kind = SCENARIO_COST_MODEL;
    reader->scenario->cost_profile = name;
    return rc;
}

/* ------------------------------------------------------------------ the rest of it */

static int read_law(struct scenario_reader *reader, struct yaml_node *map,
                    struct scenario_switch *sw)
{
    static const char group[] = "switch.distribution";
    struct yaml_node *node = yaml_get(map, "distribution");
    uint32_t law = 0;
    if (!node || node->kind == YAML_SCALAR) {
        int rc = scenario_choice(reader, map, "switch", "distribution", &law);
        if (rc == 0 && law == SCENARIO_COST_LOGNORMAL) {
            return yaml_fail(reader->yaml, node,
                             "distribution: lognormal wants {dist: lognormal, sigma: S}");
        }
        sw->law = (enum scenario_cost_law)law;
        return rc;
    }
    double sigma = -1;
    int rc = scenario_choice(reader, node, group, "dist", &law);
    if (rc == 0 && law == SCENARIO_COST_LOGNORMAL) {
        rc = scenario_real(reader, node, group, "sigma", &sigma);
        if (rc == 0 && sigma < 0) {
            rc = yaml_fail(reader->yaml, node, "sigma is missing: lognormal wants it");
        }
        sw->sigma = sigma;
    }
    sw->law = (enum scenario_cost_law)law;
    return rc ? rc : yaml_end(reader->yaml, node);
}

static int read_cache(struct scenario_reader *reader, struct yaml_node *map,
                      struct scenario_switch *sw)
{
    static const char group[] = "switch.host_cache";
    struct yaml_node *node = NULL;
    int64_t models = 0;
    int rc = scenario_map(reader, map, "switch", "host_cache", &node);
    if (rc || !node) {
        return rc;
    }
    rc = scenario_int(reader, node, group, "models", &models);
    rc = rc ? rc : scenario_time(reader, node, group, "hit_s", &sw->cache_hit_ns);
    rc = rc ? rc : scenario_time(reader, node, group, "miss_s", &sw->cache_miss_ns);
    rc = rc ? rc : yaml_end(reader->yaml, node);
    sw->cache_models = (uint32_t)models;
    char name[96];
    (void)snprintf(name, sizeof name, "%s+cache", reader->scenario->cost_profile);
    reader->scenario->cost_profile = scenario_copy(reader, name);
    return rc ? rc : reader->scenario->cost_profile ? 0 : -ENOMEM;
}

static int read_late(struct scenario_reader *reader, struct yaml_node *map,
                     struct scenario_switch *sw)
{
    struct yaml_node *node = NULL;
    sw->late_factor = 1;
    int rc = scenario_map(reader, map, "switch", "late", &node);
    if (rc || !node) {
        return rc;
    }
    rc = scenario_real(reader, node, "switch.late", "probability", &sw->late_probability);
    rc = rc ? rc : scenario_real(reader, node, "switch.late", "factor", &sw->late_factor);
    return rc ? rc : yaml_end(reader->yaml, node);
}

/* A switch that cannot end within its limit would fail each time. */
static int check_limit(struct scenario_reader *reader, const struct yaml_node *map,
                       const struct tables *t)
{
    const struct scenario *scenario = reader->scenario;
    int64_t limit_ns = scenario->config->guard.switch_timeout_ns;
    int64_t longest_ns = 0;
    bool matrix = scenario->switching.kind == SCENARIO_COST_MATRIX;
    for (uint32_t to = 0; to < t->models; to++) {
        int64_t in_ns = t->in_ns[(size_t)to * SHUNT_TIER_COUNT + first_tier(reader, to)];
        int64_t ns = matrix ? largest_of_column(t, to) : in_ns + t->probe_ns[to];
        longest_ns = ns > longest_ns ? ns : longest_ns;
    }
    if (scenario->guard_off || longest_ns <= limit_ns) {
        return 0;
    }
    return yaml_fail(reader->yaml, map,
                     "switch: a switch takes %.9g s, longer than guard.switch_timeout_s (%.9g): it "
                     "would fail each time; raise that, or say guard: off",
                     (double)longest_ns / 1e9, (double)limit_ns / 1e9);
}

static int read_ways(struct scenario_reader *reader, struct yaml_node *map,
                     struct yaml_node *const *nodes, struct tables *t)
{
    struct yaml_node *matrix = NULL, *models = NULL, *profile = NULL;
    int rc = scenario_list(reader, map, "switch", "matrix_s", &matrix);
    rc = rc ? rc : scenario_map(reader, map, "switch", "per_model", &models);
    rc = rc ? rc : scenario_map(reader, map, "switch", "profile", &profile);
    if (rc) {
        return rc;
    }
    int ways = (matrix != NULL) + (models != NULL) + (profile != NULL);
    if (ways > 1 || (ways == 0 && t->tiers.count == 0)) {
        return yaml_fail(reader->yaml, map,
                         "switch: wants exactly one of matrix_s, per_model and profile%s",
                         ways ? "" : ", or tiers");
    }
    if (matrix) {
        return by_matrix(reader, map, matrix, t);
    }
    return profile ? by_profile(reader, profile, nodes, t) : by_model(reader, map, models, t);
}

int scenario_read_switch(struct scenario_reader *reader, struct yaml_node *const *nodes)
{
    struct scenario_switch *sw = &reader->scenario->switching;
    struct yaml_node *map = NULL;
    struct tables t = {.models = 0};
    int rc = scenario_map(reader, reader->root, "", "switch", &map);
    if (rc == 0 && !map) {
        return reader->scenario->config->model_count == 1
                   ? scenario_free_switch(reader)
                   : yaml_fail(reader->yaml, reader->root,
                               "switch is missing: with several models, say what switches cost");
    }
    rc = rc ? rc : make_tables(reader, &t);
    rc = rc ? rc : read_tier_times(reader, map, &t);
    rc = rc ? rc : read_ways(reader, map, nodes, &t);
    rc = rc ? rc : read_law(reader, map, sw);
    rc = rc ? rc : read_cache(reader, map, sw);
    rc = rc ? rc : scenario_real(reader, map, "switch", "fail_probability", &sw->fail_probability);
    rc = rc ? rc : read_late(reader, map, sw);
    rc = rc ? rc : yaml_end(reader->yaml, map);
    return rc ? rc : check_limit(reader, map, &t);
}

int scenario_free_switch(struct scenario_reader *reader)
{
    struct tables t = {.models = 0};
    int rc = make_tables(reader, &t);
    for (uint32_t m = 0; rc == 0 && m < t.models; m++) {
        spread(reader, &t, m, 0, 0);
    }
    reader->scenario->switching.kind = SCENARIO_COST_MODEL;
    reader->scenario->switching.late_factor = 1;
    reader->scenario->cost_profile = "none";
    return rc;
}
