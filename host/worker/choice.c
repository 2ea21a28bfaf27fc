/* The registry of policies behind a lock. See choice.h. */
#include "host/worker/choice.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct choice_registry {
    pthread_mutex_t lock;
    struct plugin_registry *plugins;
};

int choice_registry_create(struct choice_registry **ret_registry)
{
    struct choice_registry *registry = calloc(1, sizeof(*registry));
    if (!registry) {
        return -ENOMEM;
    }
    (void)pthread_mutex_init(&registry->lock, NULL);
    int rc = plugin_registry_create(NULL, &registry->plugins);
    if (rc) {
        choice_registry_destroy(registry);
        return rc;
    }
    *ret_registry = registry;
    return 0;
}

void choice_registry_destroy(struct choice_registry *registry)
{
    if (registry) {
        plugin_registry_destroy(registry->plugins);
        (void)pthread_mutex_destroy(&registry->lock);
        free(registry);
    }
}

int choice_load(struct choice_registry *registry, const char *reference, const char *plugin_dir,
                const char *values, struct policy_choice **ret_choice, char *err, size_t err_size)
{
    (void)pthread_mutex_lock(&registry->lock);
    int rc = policy_choice_load(registry->plugins, reference, plugin_dir, values, ret_choice, err,
                                err_size);
    (void)pthread_mutex_unlock(&registry->lock);
    return rc;
}
