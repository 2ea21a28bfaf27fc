/*
 * swarm --seeds A..B         runs seeds A to B-1 and stops at the first that fails
 * swarm --seed N --verbose   runs one with a readable log of every input and action
 *       --keep-going         a process a seed; lists all that fail
 *       --plain              without twin (save and load) and replay of the recorded inputs
 *       --expect HASH        fails unless this is the hash over all actions
 */
#include "swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct totals {
    uint64_t inputs;
    uint64_t actions;
    uint64_t requests;
    uint64_t switches;
    uint64_t gaps;
    double gap_ratio;
    double wait_ratio;
    uint64_t hash; /* of all actions: equal for two builds that behave alike */
};

static void run_seed(uint64_t seed, bool verbose, bool plain, struct totals *totals)
{
    struct plan plan;
    plan_make(&plan, seed);
    swarm_set_seed(seed, "swarm");
    if (verbose) {
        plan_print(&plan);
    }
    /* A third of the seeds each: plain, with a twin, with a replay; some run twice. */
    struct swarm_options options = {
        .verbose = verbose,
        .twin = !plain && seed % 3 == 1,
        .replay = !plain && seed % 3 == 2,
    };
    struct swarm_result result;
    swarm_run(&plan, &options, &result);
    if (!plain && !verbose && seed % 16 == 0) {
        struct swarm_result again;
        swarm_run(&plan, &options, &again);
        if (again.hash != result.hash) {
            swarm_fail("the same seed gives other actions");
        }
    }
    totals->hash = totals->hash * UINT64_C(0x100000001b3) ^ result.hash;
    totals->inputs += result.inputs;
    totals->actions += result.actions;
    totals->requests += result.requests;
    totals->switches += result.switches;
    totals->gaps += result.gaps_bounded;
    if (result.gap_ratio_max > totals->gap_ratio) {
        totals->gap_ratio = result.gap_ratio_max;
    }
    if (result.wait_ratio_max > totals->wait_ratio) {
        totals->wait_ratio = result.wait_ratio_max;
    }
    if (verbose) {
        printf("hash %016llx\n", (unsigned long long)result.hash);
    }
}

static int keep_going(uint64_t first, uint64_t last, bool plain)
{
    uint64_t failed = 0;
    for (uint64_t seed = first; seed < last; seed++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            struct totals totals = {0};
            run_seed(seed, false, plain, &totals);
            _exit(0);
        }
        int status = 1;
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
            failed++;
        }
    }
    printf("%llu of %llu seeds fail\n", (unsigned long long)failed,
           (unsigned long long)(last - first));
    return failed != 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: swarm --seeds A..B | --seed N [--verbose] [--keep-going] [--plain] "
                    "[--expect HASH]\n");
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t first = 0;
    uint64_t last = 0;
    bool verbose = false;
    bool plain = false;
    bool all = false;
    const char *expect = NULL;
    for (int i = 1; i < argc; i++) {
        char *end = NULL;
        if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else if (strcmp(argv[i], "--plain") == 0) {
            plain = true;
        } else if (strcmp(argv[i], "--keep-going") == 0) {
            all = true;
        } else if (strcmp(argv[i], "--expect") == 0 && i + 1 < argc) {
            expect = argv[++i];
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            first = strtoull(argv[++i], &end, 10);
            last = first + 1;
        } else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
            first = strtoull(argv[++i], &end, 10);
            if (!end || strncmp(end, "..", 2) != 0) {
                return usage();
            }
            last = strtoull(end + 2, &end, 10);
        } else {
            return usage();
        }
        if (end && *end != '\0') {
            return usage();
        }
    }
    if (last <= first) {
        return usage();
    }
    if (all) {
        return keep_going(first, last, plain);
    }
    struct totals totals = {0};
    for (uint64_t seed = first; seed < last; seed++) {
        run_seed(seed, verbose, plain, &totals);
    }
    printf("%llu seeds: %llu requests, %llu switches, %llu inputs, %llu actions; %llu bounded "
           "gaps, largest gap / bound %.3f, wait / bound %.3f; hash %016llx\n",
           (unsigned long long)(last - first), (unsigned long long)totals.requests,
           (unsigned long long)totals.switches, (unsigned long long)totals.inputs,
           (unsigned long long)totals.actions, (unsigned long long)totals.gaps, totals.gap_ratio,
           totals.wait_ratio, (unsigned long long)totals.hash);
    if (expect && strtoull(expect, NULL, 16) != totals.hash) {
        fprintf(
            stderr,
            "swarm: the actions differ from those that are expected (%s).\n"
            "If a change of behaviour was meant, of core or of the swarm, put the new hash into "
            "tests/swarm/CMakeLists.txt; if not, compare `swarm --seed N --verbose` of both "
            "builds.\n",
            expect);
        return 1;
    }
    return 0;
}
