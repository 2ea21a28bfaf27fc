/*
 * What is common to many runs, done once before the first of them: loading policies, judging their
 * parameters for the models of each scenario, hashing every file that decides a result.
 */
#include "sim/runs_priv.h"

#include "base/fail.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 64 * 1024 };

static_assert(RUNS_SHA256_HEX == 2 * crypto_hash_sha256_BYTES + 1, "hex of a SHA-256");

static int sha256_of_file(const char *path, char ret_hex[RUNS_SHA256_HEX], char *err,
                          size_t err_size)
{
    unsigned char *buffer = malloc(READ_BYTES), hash[crypto_hash_sha256_BYTES];
    FILE *file = fopen(path, "rb");
    int rc = !buffer ? -ENOMEM : !file ? -errno : 0;
    if (!rc) {
        crypto_hash_sha256_state state;
        (void)crypto_hash_sha256_init(&state);
        for (size_t got; (got = fread(buffer, 1, READ_BYTES, file)) > 0;) {
            (void)crypto_hash_sha256_update(&state, buffer, got);
        }
        (void)crypto_hash_sha256_final(&state, hash);
        (void)sodium_bin2hex(ret_hex, RUNS_SHA256_HEX, hash, sizeof(hash));
        rc = ferror(file) ? -EIO : 0;
    }
    if (file) {
        (void)fclose(file);
    }
    free(buffer);
    return rc ? fail(rc, err, err_size, "%s: %s", path, strerror(-rc)) : 0;
}

static bool is_listed(const json_t *traces, const char *path)
{
    for (size_t i = 0; i < json_array_size(traces); i++) {
        const char *file = json_string_value(json_object_get(json_array_get(traces, i), "file"));
        if (file && strcmp(file, path) == 0) {
            return true;
        }
    }
    return false;
}

int runs_hash_traces(const struct scenario *scenario, json_t **ret_traces, char *err,
                     size_t err_size)
{
    static const char *const parts[] = {
        [ARRIVALS_ALL] = "all", [ARRIVALS_TUNE] = "tune", [ARRIVALS_SCORE] = "score"};
    json_t *traces = json_array();
    int rc = traces ? 0 : -ENOMEM;
    for (size_t i = 0; !rc && i < scenario->arrivals.sources_len; i++) {
        const struct arrivals_source *source = &scenario->arrivals.sources[i];
        char hex[RUNS_SHA256_HEX];
        if (source->kind != ARRIVALS_TRACE || is_listed(traces, source->path)) {
            continue;
        }
        rc = sha256_of_file(source->path, hex, err, err_size);
        if (!rc &&
            json_array_append_new(traces, json_pack("{s:s, s:s, s:s}", "file", source->path,
                                                    "sha256", hex, "part", parts[source->part]))) {
            rc = -ENOMEM;
        }
    }
    if (rc) {
        json_decref(traces);
        return rc;
    }
    *ret_traces = traces;
    return 0;
}

static int load_policy(struct runs_plan *plan, const struct policy_ref *ref,
                       struct runs_policy *policy, char *err, size_t err_size)
{
    char why[RUNS_ERROR_MAX] = "out of memory";
    int rc = policy_choice_load(plan->plugins, ref->text, plan->options->policy_dir, "",
                                &policy->choice, why, sizeof(why));
    if (rc) {
        bool named = strstr(why, ref->target) != NULL;
        return fail(rc, err, err_size, "%s%s%s", named ? "" : ref->target, named ? "" : ": ", why);
    }
    return sha256_of_file(policy->choice->plugin->path, policy->sha256, err, err_size);
}

/* ------------------------------------------------------------------ parameters */

/* One value as its declaration says: number, boolean, or text. */
static json_t *value_json(const struct params *params, uint32_t index, uint32_t model)
{
    char text[PARAMS_TEXT_BYTES_MAX + 1];
    const struct shunt_param_info *info = &params_schema_of(params)->info[index];
    if (params_format(params, index, model, text, sizeof(text))) {
        return NULL;
    }
    switch (info->type) {
    case SHUNT_PARAM_INT:
        return json_integer(strtoll(text, NULL, 10));
    case SHUNT_PARAM_REAL:
    case SHUNT_PARAM_DURATION:
        return json_real(strtod(text, NULL));
    case SHUNT_PARAM_BOOL:
        return json_boolean(strcmp(text, "true") == 0);
    default: /* a choice, a vector */
        return json_string(text);
    }
}

static json_t *params_json(const struct params *params, const char *const *names)
{
    const struct params_schema *schema = params_schema_of(params);
    json_t *all = json_object();
    for (uint32_t i = 0; all && i < schema->count; i++) {
        json_t *value = NULL;
        int rc = 0;
        if (schema->info[i].flags & SHUNT_PARAM_PER_MODEL) {
            value = json_object();
            for (uint32_t m = 0; !rc && m < params_model_count(params); m++) {
                rc = json_object_set_new(value, names[m], value_json(params, i, m));
            }
        } else {
            value = value_json(params, i, 0);
        }
        if (rc || json_object_set_new(all, schema->info[i].name, value)) {
            if (rc) {
                json_decref(value);
            }
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

/* Parameters of the configuration count for the policy that it names. */
static bool is_configured(const struct config_policy *config, const struct policy_choice *choice)
{
    struct policy_ref use = {0};
    char err[RUNS_ERROR_MAX];
    bool same = policy_ref_parse(config->use, &use, err, sizeof(err)) == 0 &&
                (strcmp(use.target, choice->ref.target) == 0 ||
                 strcmp(use.target, choice->plugin->note.id) == 0);
    policy_ref_fini(&use);
    return same;
}

static int make_pair(struct runs_pair *pair, char *err, size_t err_size)
{
    const struct scenario *scenario = pair->scenario;
    uint32_t models = scenario_models(scenario);
    const struct config_policy *policy = &scenario->config->cells[0].policy;
    const struct config_model **list = calloc(models + 1u, sizeof(*list));
    const char **names = calloc(models + 1u, sizeof(*names));
    char why[RUNS_ERROR_MAX] = "out of memory";
    int rc = list && names ? 0 : -ENOMEM;
    for (uint32_t i = 0; !rc && i < models; i++) {
        list[i] = &scenario->config->models[i];
        names[i] = scenario_model_name(scenario, i);
    }
    if (!rc) {
        const struct policy_choice_config config = {
            .policy = policy, .models = list, .names = names, .model_count = models};
        rc = policy_choice_params(pair->policy->choice, &config,
                                  is_configured(policy, pair->policy->choice), &pair->params, why,
                                  sizeof(why));
    }
    if (!rc) {
        pair->params_json = params_json(pair->params, names);
        rc = pair->params_json ? 0 : -ENOMEM;
    }
    free(list);
    free(names);
    return rc ? fail(rc, err, err_size, "policy %s: %s", pair->policy->choice->reference, why) : 0;
}

/* ------------------------------------------------------------------ the plan */

static int load_all(struct runs_plan *plan, char *err, size_t err_size)
{
    const struct runs_options *o = plan->options;
    int rc = sodium_init() < 0 ? -EIO : plugin_registry_create(NULL, &plan->plugins);
    if (rc) {
        return fail(rc, err, err_size, "libsodium does not start");
    }
    for (uint32_t p = 0; !rc && p < o->policies->count; p++) {
        rc = load_policy(plan, &o->policies->item[p], &plan->policies[p], err, err_size);
    }
    for (uint32_t s = 0; !rc && s < o->scenario_count; s++) {
        rc = runs_hash_traces(o->scenarios[s], &plan->traces[s], err, err_size);
        for (uint32_t p = 0; !rc && p < o->policies->count; p++) {
            struct runs_pair *pair = &plan->pairs[s * o->policies->count + p];
            *pair = (struct runs_pair){.scenario = o->scenarios[s],
                                       .policy = &plan->policies[p],
                                       .traces = plan->traces[s]};
            rc = make_pair(pair, err, err_size);
        }
    }
    return rc;
}

int runs_plan_init(struct runs_plan *ret_plan, const struct runs_options *options, char *err,
                   size_t err_size)
{
    uint64_t pairs = (uint64_t)options->scenario_count * options->policies->count;
    struct runs_plan plan = {.options = options};
    if (pairs * options->seed_count > RUNS_MAX) {
        return fail(-E2BIG, err, err_size, "%llu runs are more than %d; give fewer seeds",
                    (unsigned long long)(pairs * options->seed_count), RUNS_MAX);
    }
    plan.pair_count = (uint32_t)pairs;
    plan.total = (uint32_t)pairs * options->seed_count;
    plan.policies = calloc(options->policies->count + 1u, sizeof(*plan.policies));
    plan.traces = calloc(options->scenario_count + 1u, sizeof(json_t *));
    plan.pairs = calloc(pairs + 1u, sizeof(*plan.pairs));
    int rc = -ENOMEM;
    if (plan.policies && plan.traces && plan.pairs) {
        rc = load_all(&plan, err, err_size);
    }
    if (rc) {
        runs_plan_fini(&plan);
        return rc == -ENOMEM ? fail(rc, err, err_size, "out of memory") : rc;
    }
    *ret_plan = plan;
    return 0;
}

void runs_plan_fini(struct runs_plan *plan)
{
    for (uint32_t i = 0; plan->pairs && i < plan->pair_count; i++) {
        params_destroy(plan->pairs[i].params);
        json_decref(plan->pairs[i].params_json);
    }
    for (uint32_t i = 0; plan->traces && i < plan->options->scenario_count; i++) {
        json_decref(plan->traces[i]);
    }
    for (uint32_t i = 0; plan->policies && i < plan->options->policies->count; i++) {
        policy_choice_destroy(plan->policies[i].choice);
    }
    plugin_registry_destroy(plan->plugins);
    free(plan->pairs);
    free(plan->traces);
    free(plan->policies);
    *plan = (struct runs_plan){0};
}
