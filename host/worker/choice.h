/*
 * Policies of this process: base/policy_choice.h with the process's one registry, for the loop and
 * for the helper threads on which a swap reads its file.
 */
#ifndef HOST_WORKER_CHOICE_H
#define HOST_WORKER_CHOICE_H

#include "base/policy_choice.h"

/* Serialises the use of the one registry of the process. -ENOMEM, and what plugin_registry_create
 * gives. */
struct choice_registry;
int choice_registry_create(struct choice_registry **ret_registry);
void choice_registry_destroy(struct choice_registry *registry); /* accepts NULL */

/* policy_choice_load, one at a time. */
int choice_load(struct choice_registry *registry, const char *reference, const char *plugin_dir,
                const char *values, struct policy_choice **ret_choice, char *err, size_t err_size);

#endif
