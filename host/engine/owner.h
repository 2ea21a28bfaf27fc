/*
 * Whose listener stands on a port. Between the moment a free port is chosen and the moment the
 * engine binds it, somebody else may take it; then the engine ends, but what answers there is a
 * stranger, and putting a stranger to sleep would be a disaster for two hosts at once.
 */
#ifndef HOST_ENGINE_OWNER_H
#define HOST_ENGINE_OWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* True if a process of group `group` listens on TCP port `port`. Reads /proc: some milliseconds. */
bool owner_listens(pid_t group, uint32_t port);

#endif
