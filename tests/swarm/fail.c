/* How the programs of the swarm fail: with the seed and the command that replays it, also when an
 * assertion inside core fires first. */
#include "swarm.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char banner[200];

static void on_abort_signal(int number)
{
    ssize_t ignored = write(STDERR_FILENO, banner, strlen(banner));
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

void swarm_set_seed(uint64_t seed, const char *how)
{
    snprintf(banner, sizeof(banner), "swarm: seed %llu fails; replay: %s --seed %llu --verbose\n",
             (unsigned long long)seed, how, (unsigned long long)seed);
    signal(SIGABRT, on_abort_signal);
    signal(SIGSEGV, on_abort_signal);
}

void swarm_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "FAIL: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n%s", banner);
    va_end(args);
    exit(1);
}
