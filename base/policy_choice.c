/* From a policy reference to a mapped policy and its parameters. See policy_choice.h. */
#include "base/policy_choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 4096, ASSIGNMENTS_MAX = 4096 };

/* BUILD/bin/shunt -> BUILD/lib/shunt/policies; PREFIX/bin/shunt likewise. */
static int own_plugin_dir(char *out, size_t size)
{
    char self[PATH_BYTES_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len <= 0) {
        return len ? -errno : -ENOENT;
    }
    self[len] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(self, '/');
        if (slash) {
            *slash = '\0';
        }
    }
    int n = snprintf(out, size, "%s/lib/shunt/policies", self);
    return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

static int find_file(const struct policy_ref *ref, const char *plugin_dir, char *out, size_t size)
{
    char dir[PATH_BYTES_MAX];
    if (ref->is_path) {
        int n = snprintf(out, size, "%s", ref->target);
        return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
    }
    if (strcmp(plugin_dir, "auto") == 0) {
        int rc = own_plugin_dir(dir, sizeof(dir));
        if (rc) {
            return rc;
        }
        plugin_dir = dir;
    }
    int n = snprintf(out, size, "%s/%s.so", plugin_dir, ref->target);
    return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

int policy_choice_load(struct plugin_registry *plugins, const char *reference,
                       const char *plugin_dir, const char *values,
                       struct policy_choice **ret_choice, char *err, size_t err_size)
{
    char path[PATH_BYTES_MAX];
    struct policy_choice *choice = calloc(1, sizeof(*choice));
    if (!choice) {
        return -ENOMEM;
    }
    choice->reference = strdup(reference);
    int rc = choice->reference ? policy_ref_parse(reference, &choice->ref, err, err_size) : -ENOMEM;
    if (!rc) {
        rc = find_file(&choice->ref, plugin_dir, path, sizeof(path));
        if (rc) {
            (void)snprintf(err, err_size, "policy %s: %s", reference, strerror(-rc));
        }
    }
    if (!rc) {
        rc = plugin_load(plugins, path, &choice->plugin, err, err_size);
    }
    const char *file = choice->ref.values ? choice->ref.values : values;
    if (!rc && file && file[0]) {
        rc = values_load(file, &choice->values, err, err_size);
        if (!rc && strcmp(values_of(choice->values)->policy, choice->plugin->note.id) != 0) {
            (void)snprintf(err, err_size, "%s: its values are for policy %s, not %s", file,
                           values_of(choice->values)->policy, choice->plugin->note.id);
            rc = -EINVAL;
        }
    }
    if (rc) {
        policy_choice_destroy(choice);
        return rc;
    }
    *ret_choice = choice;
    return 0;
}

void policy_choice_destroy(struct policy_choice *choice)
{
    if (choice) {
        policy_ref_fini(&choice->ref);
        values_free(choice->values);
        free(choice->reference);
        free(choice);
    }
}

static size_t gather(const struct policy_choice *choice, const struct policy_choice_config *config,
                     bool same_policy, struct param_assignment *list)
{
    size_t n = 0;
    if (same_policy) {
        for (uint32_t i = 0; i < config->policy->params.count && n < ASSIGNMENTS_MAX; i++) {
            const struct config_param *p = &config->policy->params.item[i];
            list[n++] = (struct param_assignment){.name = p->name, .text = p->text};
        }
        for (uint32_t m = 0; m < config->model_count; m++) {
            const struct config_params *params = &config->models[m]->params;
            for (uint32_t i = 0; i < params->count && n < ASSIGNMENTS_MAX; i++) {
                list[n++] = (struct param_assignment){.name = params->item[i].name,
                                                      .model = config->names[m],
                                                      .text = params->item[i].text};
            }
        }
    }
    for (uint32_t i = 0; i < choice->ref.set_count && n < ASSIGNMENTS_MAX; i++) {
        list[n++] = choice->ref.set[i];
    }
    return n;
}

int policy_choice_params(const struct policy_choice *choice,
                         const struct policy_choice_config *config, bool same_policy,
                         struct params **ret_params, char *err, size_t err_size)
{
    struct params *params = NULL;
    struct param_assignment *list = calloc(ASSIGNMENTS_MAX, sizeof(*list));
    int rc =
        list ? params_create(&choice->plugin->schema, config->names, config->model_count, &params)
             : -ENOMEM;
    if (!rc && choice->values) {
        const struct values *values = values_of(choice->values);
        rc = params_apply(params, values->item, values->item_count, PARAM_ORIGIN_VALUES, false, err,
                          err_size);
    }
    if (!rc) {
        size_t n = gather(choice, config, same_policy, list);
        rc = params_apply(params, list, n, PARAM_ORIGIN_CONFIG, false, err, err_size);
    }
    free(list);
    if (rc) {
        params_destroy(params);
        return rc;
    }
    params_mark_changed(params);
    *ret_params = params;
    return 0;
}
