/*
 * The warden: a process that does nothing but outlive the supervisor by a moment. It holds the read
 * end of a pipe and the list of engine process groups; when the pipe ends without a goodbye the
 * supervisor was killed, and the warden kills every group. Parent-death signals reach only the
 * direct children; an engine's own workers would stay behind and keep the GPU's memory.
 */
#ifndef HOST_SUPERVISOR_WARDEN_H
#define HOST_SUPERVISOR_WARDEN_H

#include <sys/types.h>

/* Starts it; returns 0, the write end of its pipe and its pidfd. */
int warden_start(int *ret_fd, int *ret_pidfd, pid_t *ret_pid);

/* Tells it of a group, or that a group is gone. */
void warden_add(int fd, pid_t group);
void warden_remove(int fd, pid_t group);

/* The body of role __warden: the pipe is descriptor 3. */
int warden_main(void);

#endif
