/*
 * Finds the `model` field of a multipart/form-data body (audio, images) without copying the body.
 * Whatever is ambiguous is refused, since the engine must read the same name as the host.
 */
#ifndef HOST_HTTP_MULTIPART_H
#define HOST_HTTP_MULTIPART_H

#include "base/span.h"

#include <stdbool.h>

enum { MULTIPART_BOUNDARY_BYTES_MAX = 70, MULTIPART_PARTS_MAX = 256 };

/* True if a Content-Type says multipart/form-data. */
bool multipart_is(struct span content_type);

/*
 * The value of the field `model` in `body`; a span into it. 0; -EINVAL: not well-formed or no
 * boundary; -ENOENT: no such field; -EEXIST: more than one; -EMSGSIZE: longer than 256 bytes.
 */
int multipart_model(struct span content_type, struct span body, struct span *ret_model);

#endif
