/*
 * What `serve --check` prints: which models fit together, the policy with its hash, tier and
 * parameters, both bounds of every model, and warnings about settings that do not go together.
 * Nothing is started and nothing is changed.
 */
#ifndef HOST_CHECK_H
#define HOST_CHECK_H

#include <stdio.h>

struct config;

/*
 * Prints the report on `config` to `out`. Returns 0; -EINVAL if the host would not start with it
 * (no such plugin, parameters refused, models that fit nowhere), the reason being printed to `err`
 * as one line each.
 */
int check_print(const struct config *config, FILE *out, FILE *err);

#endif
