/*
 * What the files of the journal's reader share: what was read (journal_in.c) and what is written of
 * it (journal_in_write.c). Nobody else includes it.
 */
#ifndef SIM_JOURNAL_IN_PRIV_H
#define SIM_JOURNAL_IN_PRIV_H

#include "core/core.h"
#include "sim/journal_in.h"

#include <jansson.h>
#include <stdbool.h>

/* Probes are the same whatever tier a model came from. */
#define JOURNAL_IN_PROBE_TIER SHUNT_TIER_RESIDENT

/* A request as it arrived; -1: not known. */
struct journal_in_row {
    int64_t t_ns;
    int64_t service_ns;
    uint32_t model;
    uint32_t prompt_tokens;
    uint32_t output_tokens;
};

/* Measured times of one step. */
struct journal_in_cost {
    uint64_t count;
    double sum_s;
    double log_sum, log_sum2; /* of the logarithms, for their spread */
};

struct journal_in {
    char name[64];  /* of the scenario */
    json_t *config; /* config_core_json, of the first keyframe */
    bool simulated; /* a simulator wrote it */
    uint32_t model_count, device_count, instance_count;
    int64_t begin_ns; /* of the first arrival */
    bool begun;
    /* [instance] at the first arrival: resident. */
    bool *resident;
    struct core_instance_view *instances;
    struct journal_in_row *rows;
    size_t row_count, row_room;
    /* [(model * CORE_STEP_COUNT + step) * SHUNT_TIER_COUNT + tier] */
    struct journal_in_cost *costs;
    struct journal_in_summary summary;
};

static inline struct journal_in_cost *journal_in_cost(const struct journal_in *in, uint32_t model,
                                                      uint32_t step, uint32_t tier)
{
    return &in->costs[(model * CORE_STEP_COUNT + step) * SHUNT_TIER_COUNT + tier];
}

/* Both files. Negative errno with one line in `err`. */
int journal_in_write(struct journal_in *in, const char *folder, char *err, size_t err_size);

#endif
