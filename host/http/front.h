/*
 * The front: the HTTP side of the worker that clients see. It reads requests, decides which model
 * they are for, hands them to that model's cell, and passes the engine's answer through. It decides
 * nothing about order or residency, and does not know what a policy is.
 *
 * Loop thread only.
 */
#ifndef HOST_HTTP_FRONT_H
#define HOST_HTTP_FRONT_H

#include <stddef.h>
#include <stdint.h>

struct front;
struct metrics;
struct worker;

/*
 * Makes the front of a worker whose cells exist. Limits, keys and time-outs come from
 * worker_config(). `metrics` may be NULL: /metrics then answers 404. Errors: -ENOMEM; those of
 * reading the keys file, with one line in `err`.
 */
int front_create(struct worker *worker, struct metrics *metrics, char *err, size_t err_size,
                 struct front **ret_front);

/* Ends every request and connection. NULL is allowed. Cells must still exist. */
void front_destroy(struct front *front);

/* Takes over a listening socket. Errors of net/server.h. */
int front_listen_fd(struct front *front, int fd);

/*
 * Takes the keys and the per-request limits of the configuration in force, after a reload. Limits
 * of connections and framing stay as they were at start. Nothing changes on an error.
 */
int front_reload(struct front *front, char *err, size_t err_size);

/* Stops accepting; new requests on open connections get 503; those held go on. */
void front_drain(struct front *front);

/* Requests whose answer has not reached the client's kernel yet, and open connections. */
uint64_t front_requests(const struct front *front);
uint64_t front_connections(const struct front *front);

#endif
