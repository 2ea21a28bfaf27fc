/*
 * The admin interface: HTTP with JSON answers on a Unix socket, for `shunt ctl` and scripts of the
 * operator; docs/ADMIN.md is its manual. Who may connect is decided by the kernel's word on the
 * peer: root and the user that the host runs as.
 *
 * Loop thread only.
 */
#ifndef HOST_ADMIN_ADMIN_H
#define HOST_ADMIN_ADMIN_H

#include <stddef.h>

struct admin;
struct front;
struct worker;

/*
 * Listens on admin.socket of worker_config(), and on admin.listen if that is set. `front` may be
 * NULL. Errors of binding, -ENOMEM, with one line in `err`.
 */
int admin_create(struct worker *worker, struct front *front, char *err, size_t err_size,
                 struct admin **ret_admin);
/* NULL is allowed. Operations under way go on without anybody to tell. */
void admin_destroy(struct admin *admin);

#endif
