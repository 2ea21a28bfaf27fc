/*
 * Token counts that an engine puts at the end of an answer, of a stream or not, found without
 * parsing the answer.
 */
#ifndef HOST_HTTP_USAGE_H
#define HOST_HTTP_USAGE_H

#include "base/span.h"

#include <stdint.h>

struct stream_usage {
    uint32_t prompt_tokens; /* 0 where the engine says nothing */
    uint32_t output_tokens;
};

/* tail: the last bytes of an answer. The last "usage" in it counts. */
void stream_usage(struct span tail, struct stream_usage *ret);

#endif
