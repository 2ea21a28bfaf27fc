/*
 * The supervisor: the process that `shunt serve` is. It owns listening sockets and engine
 * processes, and starts the worker again whenever it dies. One thread; it parses no HTTP and loads
 * no policy, so that what can go wrong in the worker cannot go wrong here.
 */
#ifndef HOST_SUPERVISOR_SUPERVISOR_H
#define HOST_SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>

struct supervisor_options {
    const char *config_path;
    bool from_config; /* ignore what was changed at run time */
};

/* Runs until the host ends; returns the program's exit status. Errors of the configuration are
 * printed to stderr (status 2). */
int supervisor_run(const struct supervisor_options *options);

#endif
