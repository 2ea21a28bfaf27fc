/* The listening sockets, made once by the supervisor and inherited by every worker. */
#ifndef HOST_SUPERVISOR_LISTEN_H
#define HOST_SUPERVISOR_LISTEN_H

#include <stddef.h>
#include <stdint.h>

/* Makes a listening socket (non-blocking, close-on-exec) for an address of the configuration.
 * `mode` is that of a Unix socket's file. Returns the descriptor, or a negative errno with one line
 * in `err`. */
int listen_open(const char *text, uint32_t mode, char *err, size_t err_size);

/* Address that a listener has, "127.0.0.1:8080", with the port it was given for port 0. */
void listen_name(int fd, char *out, size_t size);

#endif
