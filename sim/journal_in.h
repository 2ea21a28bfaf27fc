/*
 * Makes a scenario of a journal, a host's or a simulator's: who asked for what and when, how long
 * each was served, what switches took. Any policy can then be simulated on that day.
 *
 * The inputs are replayed through a core made of the journal's keyframe, as `shunt journal verify`
 * does; that tells when each request was dispatched and each step of a switch begun. Models, sizes
 * and limits come from the configuration behind the keyframe.
 *
 * What a journal cannot tell is named in the summary and taken as told there: how long a request
 * would have been served that was not (the mean of its model), what a switch takes that was not
 * made (the mean of the others). Where records are missing, so are the arrivals between.
 */
#ifndef SIM_JOURNAL_IN_H
#define SIM_JOURNAL_IN_H

#include <stddef.h>
#include <stdint.h>

enum {
    JOURNAL_IN_TEXT_MAX = 512,
    JOURNAL_IN_REQUESTS_MAX = 50 * 1000 * 1000,
    JOURNAL_IN_PATH_MAX = 4096
};

struct journal_in_summary {
    uint64_t requests;
    uint64_t unserved; /* of these: without a measured service */
    uint64_t before;   /* waiting or in flight when the journal begins: left out */
    uint64_t switches; /* steps measured */
    uint64_t gaps;
    char first_gap[JOURNAL_IN_TEXT_MAX];  /* where; "" without any */
    char unmeasured[JOURNAL_IN_TEXT_MAX]; /* models whose switches were not all seen; "" for none */
};

/*
 * Writes `folder`/scenario.yaml and `folder`/arrivals.csv from the journal at `path`: the folder of
 * a cell, or one segment. Both may be kept, changed and simulated again. Negative errno with one
 * line in `err`: no journal, no keyframe, one of another build, a journal without configuration,
 * runs of several hosts in one.
 */
int journal_in_convert(const char *path, const char *folder, struct journal_in_summary *ret_summary,
                       char *err, size_t err_size);

#endif
