/*
 * The load generator's own types, shared by its files: replay.c (command line, pacing),
 * _request.c (one request as the client sees it) and _report.c (log, progress, summary).
 */
#ifndef SHUNT_TOOLS_REPLAY_PRIV_H
#define SHUNT_TOOLS_REPLAY_PRIV_H

#include "base/arrivals.h"
#include "base/histogram.h"
#include "base/span.h"
#include "net/client.h"
#include "net/loop.h"
#include "tools/emulate_text.h"
#include "tools/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    REPLAY_ERRORS_MAX = 64, /* kinds that are told apart */
    REPLAY_ERROR_NAME_MAX = 64,
    REPLAY_LINE_MAX = 1 << 20,  /* of an event stream */
    REPLAY_BODY_MAX = 16 << 20, /* of an answer that does not stream */
    REPLAY_HEADERS = 4,
};

struct replay_options {
    const char *target, *api_key, *log_path;
    double time_scale, bytes_per_token, timeout_s;
    int64_t prompt_bytes_max;
    bool stream, json, check;
    bool completions; /* /v1/completions instead of chat */
};

/* What the requests for one model came to; times in ns as measured, before scaling back. */
struct replay_model {
    struct histogram ttft, end_to_end, wait;
    uint64_t sent, completed, refused, failed;
    uint64_t tokens, bytes;
};

struct replay_error {
    char name[REPLAY_ERROR_NAME_MAX];
    uint64_t count;
    bool refusal;
};

struct replay_request {
    struct replay *replay;
    struct replay_request *prev, *next;
    struct arrival arrival;
    struct client_exchange *exchange;
    int64_t due_ns, sent_ns, first_ns;
    char *head; /* JSON in front of the filler, the request's own text in it */
    uint64_t key;
    unsigned status;
    bool event_stream, done_mark, wrong;
    uint64_t bytes, tokens, checked;
    uint64_t usage_tokens;
    char headers[REPLAY_HEADERS][128];
    char error[REPLAY_ERROR_NAME_MAX];
    struct text line; /* partial line of a stream, or the body */
};

struct replay {
    struct replay_options options;
    struct arrivals_spec spec;
    struct arrivals *arrivals;
    struct loop *loop;
    struct client *client;
    struct loop_timer pace, progress;
    struct loop_signal interrupt, terminate;
    char *filler; /* prompt_bytes_max bytes */
    FILE *log;
    struct arrival next;
    bool have_next, interrupted;
    int64_t start_ns, first_send_ns;
    struct replay_request *open; /* in flight */
    uint64_t in_flight, sent, ended, failed, refused;
    uint64_t wrong_content, unfinished;
    struct histogram late;
    struct replay_model *models; /* as spec.models */
    struct replay_error errors[REPLAY_ERRORS_MAX];
    size_t errors_len;
    char failure[ARRIVALS_ERROR_MAX]; /* a trace broke in the middle */
};

/* --- replay_request.c --- */
/* Sends the request for ARRIVAL, which was due at DUE_NS. -ENOMEM and what client_send() says. */
int replay_send(struct replay *r, const struct arrival *arrival, int64_t due_ns);
/* Gives up what is in flight: counted as unfinished. */
void replay_cancel_all(struct replay *r);
/* Tells replay.c that a request ended. */
void replay_request_over(struct replay *r);

/* --- replay_report.c --- */
extern const char *const replay_header_names[REPLAY_HEADERS];
/* ns on the clock of the run as seconds of the trace. */
double replay_trace_s(const struct replay *r, int64_t ns);
/* Counts a request that ended and writes its line to the log. */
void replay_record(struct replay *r, const struct replay_request *q, int64_t end_ns);
void replay_progress(struct replay *r, bool last);
void replay_summary(struct replay *r);

#endif
