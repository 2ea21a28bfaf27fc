/*
 * Policy references: how configuration, sim, tune, ab and swap name a policy with its parameters.
 *
 *   NAME|PATH.so[@VALUES.yaml][:K=V]...
 *
 * NAME is a policy that came with shunt; what holds a "/" or ends in ".so" is a path. Each
 * parameter has its own ":K=V" (K[MODEL]=V for one model's); a comma only separates references in a
 * list. Brackets keep together what they hold: the elements of a vector, a model's name. A path
 * cannot hold ":", "," or "@". Parsing opens no file and knows no policy.
 */
#ifndef BASE_POLICY_REF_H
#define BASE_POLICY_REF_H

#include "base/params.h"

enum {
    POLICY_REF_BYTES_MAX = 16384, /* of one reference */
    POLICY_REFS_MAX = 64,         /* in a list */
    POLICY_REF_SET_MAX = 256      /* ":K=V" in one reference */
};

struct policy_ref {
    const char *text;   /* the reference as it was given */
    const char *target; /* NAME or PATH.so */
    bool is_path;
    const char *values; /* path of a values file; NULL: none */
    const struct param_assignment *set;
    uint32_t set_count;
    char *memory; /* private */
};

/* One reference, to be given to policy_ref_fini. -EINVAL with one line in `err`, -ENOMEM. */
int policy_ref_parse(const char *text, struct policy_ref *ret_ref, char *err, size_t err_size);

/* Accepts a zeroed one. */
void policy_ref_fini(struct policy_ref *ref);

struct policy_refs {
    struct policy_ref *item;
    uint32_t count;
};

/* A list of at least one, to be given to policy_refs_fini. Errors as above. */
int policy_refs_parse(const char *text, struct policy_refs *ret_refs, char *err, size_t err_size);

void policy_refs_fini(struct policy_refs *refs);

#endif
