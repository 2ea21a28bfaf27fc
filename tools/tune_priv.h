/*
 * Between the parts of `shunt tune`: the command line and the course (tune.c), running candidates
 * and keeping what was learned (tune_world.c), and what is printed and written (tune_show.c).
 */
#ifndef SHUNT_TOOLS_TUNE_PRIV_H
#define SHUNT_TOOLS_TUNE_PRIV_H

#include "base/policy_choice.h"
#include "sim/runs.h"
#include "sim/tune.h"

#include <time.h>

enum {
    TUNE_SCENARIOS_MAX = 64,
    TUNE_SEEDS_MAX = 1000,
    TUNE_SEED_MAX = 1000000000,
    TUNE_ERROR_MAX = 1024,
    TUNE_DATE_BYTES = 32
};

/* Runs are drawn with seeds from here on, far from those that a comparison begins with: from
 * TUNE_RUN_SEED + 2000 seed on, and 1000 further for the final comparison. */
#define TUNE_RUN_SEED UINT64_C(1000000000)

struct tune_command {
    const char *policy;
    const char *files[TUNE_SCENARIOS_MAX];
    uint32_t file_count;
    const char *policy_dir, *out, *report, *resume;
    char date[TUNE_DATE_BYTES];
    uint64_t seed, seeds, jobs, timeout_s;
    double budget;
    struct tune_options options; /* objectives and limits */
    bool json;
};

/* A state file: what is known of (values, length) already. */
struct tune_state {
    const char *path; /* NULL: none */
    int fd;
    json_t *known; /* {key: runs} */
    uint64_t found;
};

/* What candidates run in. */
struct tune_world {
    const struct tune_command *command;
    struct scenario *full[TUNE_SCENARIOS_MAX];
    struct scenario *part[TUNE_FULL][TUNE_SCENARIOS_MAX]; /* at the shares below, once needed */
    double share[TUNE_FULL];
    json_t *traces[TUNE_SCENARIOS_MAX];
    bool drawn; /* some scenario draws random numbers */
    struct plugin_registry *plugins;
    struct policy_choice *choice;
    struct params *params;
    struct tune_space space;
    struct tune_state state;

    /* The progress bar. */
    bool bar, bar_shown;
    const char *phase;
    double spent, batch_cost;
    double drawn_s; /* when it was drawn last */
    struct timespec start;
};

/* Scenarios (their part `tune`), the policy, its space; with the state file if there is one. A line
 * in `err`; the exit status. For tune_world_fini, whatever it returns. */
int tune_world_init(struct tune_world *world, const struct tune_command *command, char *err,
                    size_t err_size);
void tune_world_fini(struct tune_world *world);

/* For struct tune_options; ctx is the world. */
int tune_world_evaluate(void *ctx, struct tune_job *jobs, uint32_t count, char *err,
                        size_t err_size);
void tune_world_phase(void *ctx, const char *name, double spent);
void tune_world_bar_end(struct tune_world *world);
/* The first seed of the runs; of those of the final comparison. */
uint64_t tune_world_seed(const struct tune_world *world, bool fresh);

/* 1 and what is known of a key in runs[count], 0 if nothing is. */
int tune_state_find(const struct tune_state *state, const char *key, struct tune_run *runs,
                    uint32_t count);
/* -EINVAL, -EIO ... with a line in `err`. A file that is not there is made. HEADER says what the
 * figures depend on: a file with another one is refused. */
int tune_state_open(struct tune_state *state, const char *path, const json_t *header, char *err,
                    size_t err_size);
int tune_state_add(struct tune_state *state, const char *key, const struct tune_run *runs,
                   uint32_t count, char *err, size_t err_size);
void tune_state_close(struct tune_state *state);

/* All of a study as --json prints it and the report draws it; docs/TUNE.md. NULL: out of memory. */
json_t *tune_json(const struct tune_world *world, const struct tune_study *study);
void tune_print(FILE *out, const json_t *study);
/* The values file of what was chosen. -EIO, -ENOMEM. */
int tune_write_values(FILE *out, const struct tune_world *world, const struct tune_study *study);

#endif
