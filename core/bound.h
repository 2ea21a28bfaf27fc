/*
 * The bounds of the guard as formulas (docs/GUARD.md has the proof; theory: rules R1 to R7).
 *
 *   V   = C + T + D + delta
 *   G  <= min((M + N) V, A + N V) + C
 *   W  <= ceil(Q' / K) (G + B)
 *   Q'  = Q;  with drain mode requeue 3 (Q + max_concurrency)
 */
#ifndef CORE_BOUND_H
#define CORE_BOUND_H

#include "core/core.h"

struct core_bound_input {
    uint32_t models;         /* N_g: models assignable to the device */
    uint32_t overtakes;      /* M */
    uint32_t dispatches_min; /* K, >= 1 */
    uint32_t queue_max;      /* Q */
    uint32_t max_concurrency;
    uint32_t requeue;         /* 1: drain mode requeue */
    int64_t age_ns;           /* A */
    int64_t visit_cap_ns;     /* T */
    int64_t drain_ns;         /* D */
    int64_t switch_limit_ns;  /* C */
    int64_t answer_ns;        /* delta */
    int64_t service_limit_ns; /* B; 0 = none: no wait bound */
};

/* Saturating at CORE_NEVER. */
int64_t core_bound_gap_ns(const struct core_bound_input *in);
/* 0 if there is none (no service limit). */
int64_t core_bound_wait_ns(const struct core_bound_input *in);

/* Automatic settings: A = 2 N (C + T + D); T = max(50 (C + d), floor). */
int64_t core_auto_age_ns(uint32_t models, int64_t switch_ns, int64_t visit_cap_ns,
                         int64_t drain_ns);
int64_t core_auto_visit_cap_ns(int64_t switch_mean_ns, int64_t drain_mean_ns, int64_t floor_ns);

#endif
