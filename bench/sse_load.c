/*
 * Both ends of a load of event streams, for measuring what stands between them; not installed.
 *
 *     sse_load source LISTEN EVENTS_PER_S        each request gets a stream that never ends
 *     sse_load sink TARGET STREAMS SECONDS [PATH]  reads streams, prints the events that came
 *
 * An event is 150 bytes, about what a chat completion chunk has.
 */
#include "net/client.h"
#include "net/server.h"

#include <stdio.h>
#include <stdlib.h>

enum { STREAMS_MAX = 4096, EVENT_BYTES = 150 };

static const int64_t s_ns = 1000000000;

static char event_text[EVENT_BYTES];

/* --- Source --- */

struct source_stream {
    struct server_conn *conn;
    struct loop_timer timer;
    int64_t next_ns;
};

struct source {
    struct loop *loop;
    int64_t every_ns;
    int64_t offset_ns; /* spreads the streams over the period */
};

static struct source source;

static void source_fire(struct loop_timer *timer)
{
    struct source_stream *stream =
        (struct source_stream *)(void *)((char *)timer - offsetof(struct source_stream, timer));
    (void)server_write(stream->conn, span_of(event_text, sizeof event_text));
    stream->next_ns += source.every_ns;
    loop_timer_set(&stream->timer, stream->next_ns);
}

static void source_head(struct server_conn *conn, const struct http_head *head, void *ctx)
{
    (void)head;
    (void)ctx;
    const struct server_response response = {
        .status = 200, .content_type = "text/event-stream", .length = -1};
    struct source_stream *stream = malloc(sizeof *stream);
    server_set_user(conn, stream);
    if (!stream || server_respond(conn, &response)) {
        server_abort(conn);
        return;
    }
    stream->conn = conn;
    loop_timer_init(&stream->timer, source.loop, source_fire);
    source.offset_ns = (source.offset_ns + source.every_ns * 7 / 31) % source.every_ns;
    stream->next_ns = loop_now_ns(source.loop) + source.offset_ns;
    loop_timer_set(&stream->timer, stream->next_ns);
}

static void source_body(struct server_conn *conn, struct span data, void *ctx)
{
    (void)conn;
    (void)data;
    (void)ctx;
}

static void source_end(struct server_conn *conn, void *ctx)
{
    (void)conn;
    (void)ctx;
}

static void source_done(struct server_conn *conn, enum server_outcome outcome, void *ctx)
{
    (void)outcome;
    (void)ctx;
    struct source_stream *stream = server_user(conn);
    if (stream) {
        loop_timer_fini(&stream->timer);
        free(stream);
    }
}

static int run_source(const char *listen, const char *rate)
{
    static const struct server_ops ops = {.request_head = source_head,
                                          .request_body = source_body,
                                          .request_end = source_end,
                                          .request_done = source_done};
    struct server *server;
    long events_per_s = strtol(rate, NULL, 10);
    if (events_per_s < 1 || loop_create(&source.loop)) {
        return 2;
    }
    source.every_ns = s_ns / events_per_s;
    if (server_create(source.loop, &server_options_default, &ops, NULL, &server) ||
        server_listen(server, listen)) {
        (void)fprintf(stderr, "sse_load: cannot listen on %s\n", listen);
        return 1;
    }
    return loop_run(source.loop) ? 1 : 0;
}

/* --- Sink --- */

struct sink {
    struct loop *loop;
    uint64_t bytes, ended;
    bool counting;
};

static struct sink sink;

static void sink_head(struct client_exchange *exchange, const struct http_head *head, void *user)
{
    (void)exchange;
    (void)user;
    sink.ended += head->status != 200;
}

static void sink_body(struct client_exchange *exchange, struct span data, void *user)
{
    (void)exchange;
    (void)user;
    sink.bytes += sink.counting ? data.len : 0;
}

static void sink_done(struct client_exchange *exchange, enum client_result result, void *user)
{
    (void)user;
    (void)fprintf(stderr, "sse_load: a stream ended: %s (%s)\n", client_result_name(result),
                  client_detail(exchange));
    sink.ended++;
}

static void sink_phase(struct loop_timer *timer)
{
    if (sink.counting) {
        loop_stop(timer->loop);
        return;
    }
    /* All streams run: the caller takes its first figure now, and the last one when we end. */
    sink.counting = true;
    (void)puts("begin");
    (void)fflush(stdout);
}

static int run_sink(const char *target, const char *streams_text, const char *seconds_text,
                    const char *path)
{
    static const struct client_ops ops = {
        .response_head = sink_head, .response_body = sink_body, .done = sink_done};
    struct client_options options = client_options_default;
    struct client *client;
    long streams = strtol(streams_text, NULL, 10), seconds = strtol(seconds_text, NULL, 10);
    options.origin = target;
    if (streams < 1 || streams > STREAMS_MAX || seconds < 1) {
        return 2;
    }
    if (loop_create(&sink.loop) || client_create(sink.loop, &options, &client)) {
        (void)fprintf(stderr, "sse_load: cannot use %s\n", target);
        return 1;
    }
    const struct client_request request = {.method = SPAN_LITERAL("GET"),
                                           .target = span_of(path, strlen(path))};
    for (long i = 0; i < streams; i++) {
        struct client_exchange *exchange;
        if (client_send(client, &request, &ops, NULL, &exchange)) {
            return 1;
        }
    }
    struct loop_timer begin, end;
    loop_timer_init(&begin, sink.loop, sink_phase);
    loop_timer_init(&end, sink.loop, sink_phase);
    loop_timer_set(&begin, loop_now_ns(sink.loop) + s_ns);
    loop_timer_set(&end, loop_now_ns(sink.loop) + (seconds + 1) * s_ns);
    int rc = loop_run(sink.loop);
    (void)printf("events %llu ended %llu\n", (unsigned long long)(sink.bytes / EVENT_BYTES),
                 (unsigned long long)sink.ended);
    loop_timer_fini(&begin);
    loop_timer_fini(&end);
    client_destroy(client);
    loop_destroy(sink.loop);
    return rc || sink.ended ? 1 : 0;
}

int main(int argc, char **argv)
{
    memset(event_text, 'e', sizeof event_text);
    memcpy(event_text, "data: ", 6);
    memcpy(event_text + sizeof event_text - 2, "\n\n", 2);
    if (argc == 4 && strcmp(argv[1], "source") == 0) {
        return run_source(argv[2], argv[3]);
    }
    if ((argc == 5 || argc == 6) && strcmp(argv[1], "sink") == 0) {
        return run_sink(argv[2], argv[3], argv[4], argc == 6 ? argv[5] : "/");
    }
    (void)fprintf(stderr, "usage: sse_load source LISTEN EVENTS_PER_S\n"
                          "       sse_load sink TARGET STREAMS SECONDS [PATH]\n");
    return 2;
}
