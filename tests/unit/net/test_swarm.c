/*
 * Server and client against each other with random sizes, framings, delays, pauses, cancellations
 * and aborts, many at once on one loop. Whatever happens: each request ends exactly once on each
 * side, no byte of one shows up in another, and nothing is left open. The seed of a failure is
 * printed; SHUNT_SEED replays it alone.
 */
#include "net_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { SEEDS = 12, REQUESTS = 250, AT_ONCE = 24, BODY_MAX_BYTES = 300000, PIECE_MAX_BYTES = 40000 };

/* How the server answers. */
enum mode {
    MODE_LENGTH,
    MODE_CHUNKED,
    MODE_CLOSE,     /* and the connection with it */
    MODE_EARLY,     /* before the body was read */
    MODE_CUT,       /* shorter than announced */
    MODE_ABORT,     /* in the middle */
    MODE_NO_ANSWER, /* aborts without one */
    MODES,
};

static uint64_t random_state;

static uint32_t dice(uint32_t sides)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % sides;
}

static char pattern(uint32_t tag, size_t offset)
{
    return (char)(tag * 131 + offset * 7 + (offset >> 9));
}

struct world {
    struct loop *loop;
    struct server *server;
    struct client *client;
    unsigned heads, server_dones, sent, ended, cancelled, open;
};

static struct world world;

/* --- Server side --- */

struct job {
    struct server_conn *conn;
    struct loop_timer timer;
    uint32_t tag, size, body_bytes, body_got, written;
    enum mode mode;
    bool begun;
};

static void job_write(struct job *job)
{
    static char piece[PIECE_MAX_BYTES];
    uint32_t left = job->size - job->written, len = 1 + dice(PIECE_MAX_BYTES);
    len = len < left ? len : left;
    for (uint32_t i = 0; i < len; i++) {
        piece[i] = pattern(job->tag, job->written + i);
    }
    job->written += len;
    (void)server_write(job->conn, span_of(piece, len));
}

static void job_step(struct loop_timer *timer)
{
    struct job *job = (struct job *)(void *)((char *)timer - offsetof(struct job, timer));
    if (!job->begun) {
        job->begun = true;
        const struct server_response response = {
            .status = 200,
            .length = job->mode == MODE_CHUNKED ? -1 : (int64_t)job->size,
            .close = job->mode == MODE_CLOSE,
        };
        if (job->mode == MODE_NO_ANSWER) {
            server_abort(job->conn);
            return;
        }
        if (server_respond(job->conn, &response)) {
            return;
        }
    }
    /* One piece a step or all at once; the job may die in each call, but not before we return. */
    do {
        bool middle = job->written >= job->size / 2;
        if (middle && job->mode == MODE_ABORT) {
            server_abort(job->conn);
            return;
        }
        if (job->written == job->size || (middle && job->mode == MODE_CUT)) {
            (void)server_finish(job->conn);
            return;
        }
        job_write(job);
    } while (job->tag % 3 && server_pending_bytes(job->conn) < PIECE_MAX_BYTES);
    loop_timer_set(&job->timer, loop_now_ns(world.loop) + dice(200) * 1000);
}

static uint32_t number_after(struct span text, const char *name)
{
    char copy[128];
    (void)snprintf(copy, sizeof copy, "%.*s", (int)text.len, text.data);
    const char *at = strstr(copy, name);
    assert(at);
    return (uint32_t)strtoul(at + strlen(name), NULL, 10);
}

static void on_request(struct server_conn *conn, const struct http_head *head, void *ctx)
{
    (void)ctx;
    struct job *job = calloc(1, sizeof *job);
    assert(job);
    world.heads++;
    job->conn = conn;
    job->tag = number_after(head->query, "tag=");
    job->size = number_after(head->query, "size=");
    job->mode = (enum mode)number_after(head->query, "mode=");
    job->body_bytes = (uint32_t)head->content_length;
    loop_timer_init(&job->timer, world.loop, job_step);
    server_set_user(conn, job);
    if (job->mode == MODE_EARLY) {
        loop_timer_set(&job->timer, loop_now_ns(world.loop) + dice(300) * 1000);
    }
}

static void on_request_body(struct server_conn *conn, struct span data, void *ctx)
{
    (void)ctx;
    struct job *job = server_user(conn);
    for (size_t i = 0; i < data.len; i++) {
        assert(data.data[i] == pattern(job->tag + 1, job->body_got + i));
    }
    job->body_got += (uint32_t)data.len;
}

static void on_request_end(struct server_conn *conn, void *ctx)
{
    (void)ctx;
    struct job *job = server_user(conn);
    assert(job->body_got == job->body_bytes);
    if (job->mode != MODE_EARLY) {
        if (job->tag % 2) {
            job_step(&job->timer);
        } else {
            loop_timer_set(&job->timer, loop_now_ns(world.loop) + dice(500) * 1000);
        }
    }
}

static struct job *retired; /* freed a turn later: job_step() may still be running */

static void on_request_done(struct server_conn *conn, enum server_outcome outcome, void *ctx)
{
    (void)outcome;
    (void)ctx;
    struct job *job = server_user(conn);
    world.server_dones++;
    loop_timer_fini(&job->timer);
    free(retired);
    retired = job;
}

static const struct server_ops server_ops = {
    .request_head = on_request,
    .request_body = on_request_body,
    .request_end = on_request_end,
    .request_done = on_request_done,
};

/* --- Client side --- */

struct call {
    struct client_exchange *exchange;
    struct loop_timer timer;
    uint32_t tag, size, got;
    enum mode mode;
    char *body;
    uint32_t cancel_at; /* bytes of the answer; UINT32_MAX: never */
    bool in_use;
};

static struct call calls[AT_ONCE];

static void call_begin(struct call *call);

static void call_over(struct call *call)
{
    loop_timer_fini(&call->timer);
    free(call->body);
    call->in_use = false;
    world.open--;
}

static void on_answer(struct client_exchange *exchange, const struct http_head *head, void *user)
{
    struct call *call = user;
    assert(call->exchange == exchange && head->status == 200 && call->got == 0);
}

static void call_resume(struct loop_timer *timer)
{
    struct call *call = (struct call *)(void *)((char *)timer - offsetof(struct call, timer));
    client_resume(call->exchange);
}

static void on_answer_body(struct client_exchange *exchange, struct span data, void *user)
{
    struct call *call = user;
    for (size_t i = 0; i < data.len; i++) {
        assert(data.data[i] == pattern(call->tag, call->got + i));
    }
    call->got += (uint32_t)data.len;
    if (call->got >= call->cancel_at) {
        client_cancel(exchange);
        world.cancelled++;
        call_over(call);
    } else if (dice(8) == 0) {
        client_pause(exchange);
        loop_timer_set(&call->timer, loop_now_ns(world.loop) + dice(400) * 1000);
    }
}

static void on_answer_done(struct client_exchange *exchange, enum client_result result, void *user)
{
    struct call *call = user;
    assert(call->exchange == exchange);
    /* An abort may come when the last piece is out already. */
    bool broken =
        call->mode == MODE_NO_ANSWER || ((call->mode == MODE_ABORT || call->mode == MODE_CUT) &&
                                         (call->got < call->size || result != CLIENT_OK));
    assert(result == (broken ? CLIENT_CLOSED : CLIENT_OK));
    assert(broken || call->got == call->size);
    world.ended++;
    call_over(call);
}

static const struct client_ops client_ops = {
    .response_head = on_answer, .response_body = on_answer_body, .done = on_answer_done};

static void call_begin(struct call *call)
{
    char target[96];
    uint32_t body_len = dice(3) ? dice(2000) : dice(BODY_MAX_BYTES), half = body_len / 2;
    *call = (struct call){
        .tag = world.sent,
        .mode = dice(4) ? (enum mode)dice(2) : (enum mode)dice(MODES),
        .size = dice(3) ? dice(2000) : dice(BODY_MAX_BYTES),
        .cancel_at = dice(10) ? UINT32_MAX : dice(BODY_MAX_BYTES),
        .in_use = true,
        .body = malloc(body_len + 1),
    };
    assert(call->body);
    for (uint32_t i = 0; i < body_len; i++) {
        call->body[i] = pattern(call->tag + 1, i);
    }
    loop_timer_init(&call->timer, world.loop, call_resume);
    int n = snprintf(target, sizeof target, "/?tag=%" PRIu32 "&size=%" PRIu32 "&mode=%d", call->tag,
                     call->size, (int)call->mode);
    const struct client_request request = {
        .method = SPAN_LITERAL("POST"),
        .target = span_of(target, (size_t)n),
        .body = {span_of(call->body, half), span_of(call->body + half, body_len - half)},
        .body_len = 2,
    };
    world.sent++;
    world.open++;
    assert(client_send(world.client, &request, &client_ops, call, &call->exchange) == 0);
    if (dice(40) == 0) {
        client_cancel(call->exchange);
        world.cancelled++;
        call_over(call);
    }
}

static void run_seed(uint64_t seed)
{
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    world = (struct world){0};
    assert(loop_create(&world.loop) == 0);
    assert(server_create(world.loop, &server_options_default, &server_ops, NULL, &world.server) ==
           0);
    assert(server_listen(world.server, "127.0.0.1:0") == 0);
    char origin[32];
    (void)snprintf(origin, sizeof origin, "127.0.0.1:%u", server_port(world.server));
    struct client_options options = client_options_default;
    options.origin = origin;
    options.idle_max = 4;
    assert(client_create(world.loop, &options, &world.client) == 0);
    while (world.sent < REQUESTS || world.open) {
        for (unsigned i = 0; i < AT_ONCE && world.sent < REQUESTS; i++) {
            if (!calls[i].in_use && dice(3) == 0) {
                call_begin(&calls[i]);
            }
        }
        assert(loop_run_once(world.loop, world.open > 0 && world.sent == REQUESTS) == 0);
    }
    client_destroy(world.client);
    while (server_stats(world.server)->conns) {
        assert(loop_run_once(world.loop, true) == 0);
    }
    assert(world.ended + world.cancelled == world.sent);
    assert(world.heads == world.server_dones);
    assert(server_stats(world.server)->out_bytes == 0);
    server_destroy(world.server);
    loop_destroy(world.loop);
    free(retired);
    retired = NULL;
}

static void test_swarm(void **state)
{
    (void)state;
    const char *one = getenv("SHUNT_SEED");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one ? 1 : SEEDS;
    for (uint64_t seed = first; seed < first + count; seed++) {
        (void)fprintf(stderr, "seed %" PRIu64 "\n", seed);
        (void)alarm(60);
        run_seed(seed);
    }
    (void)alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_swarm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
