/*
 * From a policy reference to something that can run: finding the file, judging and mapping it,
 * collecting its parameters by origin. The first half may block and touches nothing of the loop, so
 * that it can run on a helper thread; the second is quick.
 */
#ifndef HOST_WORKER_CHOICE_H
#define HOST_WORKER_CHOICE_H

#include "base/config.h"
#include "base/params.h"
#include "base/plugin.h"
#include "base/policy_ref.h"
#include "base/values.h"

struct choice {
    char *reference;
    struct policy_ref ref;
    const struct plugin *plugin;
    struct values_file *values; /* NULL: none */
};

/* Serialises the use of the one registry of the process. */
struct choice_registry;
int choice_registry_create(struct choice_registry **ret_registry);
void choice_registry_destroy(struct choice_registry *registry);

/*
 * Loads what `reference` names. `plugin_dir` "auto": lib/shunt/policies beside the program's
 * folder. `values` is a values file to use where the reference names none; "" for none. Errors with
 * one line in `err`: -EINVAL (reference, values), those of plugin_load.
 */
int choice_load(struct choice_registry *registry, const char *reference, const char *plugin_dir,
                const char *values, struct choice **ret_choice, char *err, size_t err_size);
void choice_destroy(struct choice *choice);

/* What the configuration says about parameters of a policy. */
struct choice_config {
    const struct config_policy *policy;
    const struct config_model *const *models;
    const char *const *names;
    uint32_t model_count;
};

/* The complete set: defaults, values file, configuration (only where `same_policy`), reference. */
int choice_params(const struct choice *choice, const struct choice_config *config, bool same_policy,
                  struct params **ret_params, char *err, size_t err_size);

#endif
