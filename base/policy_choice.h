/*
 * From a policy reference to something that can run: finding the file, judging and mapping it,
 * collecting its parameters by origin. The first half reads files and may block; the second is
 * quick.
 */
#ifndef BASE_POLICY_CHOICE_H
#define BASE_POLICY_CHOICE_H

#include "base/config.h"
#include "base/params.h"
#include "base/plugin.h"
#include "base/policy_ref.h"
#include "base/values.h"

struct policy_choice {
    char *reference;
    struct policy_ref ref;
    const struct plugin *plugin;
    struct values_file *values; /* NULL: none */
};

/*
 * Loads what `reference` names. `plugin_dir` "auto": lib/shunt/policies beside the program's
 * folder. `values` is a values file to use where the reference names none; "" for none. Errors with
 * one line in `err`: -EINVAL (reference, values), those of plugin_load.
 */
int policy_choice_load(struct plugin_registry *plugins, const char *reference,
                       const char *plugin_dir, const char *values,
                       struct policy_choice **ret_choice, char *err, size_t err_size);
void policy_choice_destroy(struct policy_choice *choice);

/* What the configuration says about parameters of a policy. */
struct policy_choice_config {
    const struct config_policy *policy;
    const struct config_model *const *models;
    const char *const *names;
    uint32_t model_count;
};

/* The complete set: defaults, values file, configuration (only where `same_policy`), reference. */
int policy_choice_params(const struct policy_choice *choice,
                         const struct policy_choice_config *config, bool same_policy,
                         struct params **ret_params, char *err, size_t err_size);

#endif
