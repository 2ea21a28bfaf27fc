/*
 * OpenAI's shapes: error bodies and the list of models. Pure text, no connection.
 */
#ifndef HOST_HTTP_OPENAI_H
#define HOST_HTTP_OPENAI_H

#include "base/json_write.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { OPENAI_ERROR_BYTES_MAX = 4096 };

/* What a client is told; the strings are those of the caller. */
struct openai_error {
    unsigned status;        /* of HTTP */
    const char *type;       /* NULL: by status */
    const char *param;      /* member or header concerned; NULL */
    const char *code;       /* fixed word for programs; NULL */
    const char *message;    /* one sentence */
    int64_t retry_after_ns; /* 429, 503: when to come again; -1: not known; 0: no field */
};

/* {"error":{"message","type","param","code"}}; a message that is too long is cut. */
struct span openai_error_body(const struct openai_error *error, char buf[OPENAI_ERROR_BYTES_MAX]);

/* The same as one event of a stream: "data: {...}\n\n". */
struct span openai_error_event(const struct openai_error *error, char buf[OPENAI_ERROR_BYTES_MAX]);

/* Seconds of Retry-After: rounded up, at least 1, at most a day; 10 where nothing is known. */
int64_t openai_retry_after_s(int64_t retry_after_ns);

/* "invalid_request_error" and so on. */
const char *openai_error_type(unsigned status);

/* One entry of the list of models. root is the served name behind an alias, else the name. */
void openai_model(struct json_write *w, const char *name, const char *root, int64_t created_s);

#endif
