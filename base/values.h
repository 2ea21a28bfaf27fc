/*
 * Values files: parameters of one policy as `tune` writes them and a policy reference names them.
 *
 *   policy: amortized
 *   values: {overhead_target: 0.07}
 *   per_model:
 *     "qwen-7b": {weight: 2.0}
 *   provenance: {tool: shunt tune, trace: azure-2023}
 *
 * Values stay text here: params_apply with PARAM_ORIGIN_VALUES judges them against the policy.
 */
#ifndef BASE_VALUES_H
#define BASE_VALUES_H

#include "base/params.h"

#include <stdio.h>

/* One word about where the values come from. */
struct values_fact {
    const char *key;
    const char *text;
};

struct values {
    const char *policy;                  /* id of the policy that they are for */
    const struct param_assignment *item; /* those for all models before those for one */
    size_t item_count;
    const struct values_fact *provenance;
    size_t provenance_count;
};

struct values_file; /* owns what a struct values read from a file points to */

/* Reads a file, or text that `name` stands for. 0 and *ret_file, to be given to values_free;
 * -EINVAL with "FILE:LINE:COLUMN: ..." in `err`, -ENOMEM, errors of open(2) and read(2). */
int values_load(const char *path, struct values_file **ret_file, char *err, size_t err_size);
int values_parse(const char *text, size_t size, const char *name, struct values_file **ret_file,
                 char *err, size_t err_size);

const struct values *values_of(const struct values_file *file);

/* Accepts NULL. */
void values_free(struct values_file *file);

/* Writes a file that values_load reads back as the same; the values of one model stand together in
 * `values`. Returns -EIO if the stream fails. */
int values_write(FILE *out, const struct values *values);

#endif
