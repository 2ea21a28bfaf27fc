/*
 * The front against a scripted engine and a cell that does what the test says: statuses, routing,
 * renaming, clients that leave, slow clients, heartbeats, failures of engines.
 *
 * `test.unit.host.front --serve PORT ORIGIN [hold]` runs it as a plain proxy, or as a queue that
 * never moves, for measurements of the HTTP path alone.
 */
#include "host/http/front.h"
#include "host/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "unit/host/fake_cell.h"

/* The front is measured and tested without metrics; these keep the metrics and what they ask for
 * out of the program. */
void metrics_set(struct metrics *metrics, enum metrics_id id, const char *const *values,
                 double value)
{
    (void)metrics, (void)id, (void)values, (void)value;
}

void metrics_collect(struct metrics *metrics, void (*collect)(struct metrics *metrics, void *ctx),
                     void *ctx)
{
    (void)metrics, (void)collect, (void)ctx;
}

int metrics_scrape(struct metrics *metrics, struct span *ret_text)
{
    (void)metrics;
    *ret_text = SPAN_LITERAL("x 1\n");
    return 0;
}

struct rig {
    struct worker worker;
    struct front *front;
    unsigned port;
    int engine_listener, engine;
    char origin[64];
    char seen[1 << 16]; /* by the engine */
    size_t seen_len;
    char got[1 << 20]; /* by the client */
    size_t got_len;
    bool got_end;
};

static int listen_any(unsigned port, unsigned *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1024), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static const char config_text[] =
    "listen = \"127.0.0.1:8080\";\n"
    "devices = ( { name = \"gpu0\"; memory_gib = 16.0; } );\n"
    "limits = { body_max_mib = 1.0; bodies_max_mib = 1.5; response_buffer_mib = 0.125;\n"
    "           responses_max_mib = 0.25; connections_max = 16384; %s };\n"
    "models = ( { name = \"alpha\"; aliases = [ \"default\" ]; memory_gib = 1.0; },\n"
    "           { name = \"org/beta\"; memory_gib = 1.0; heartbeat_s = 0.02; } );\n";

static struct rig *rig_make(unsigned port, const char *limits)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct config_errors *errors = calloc(1, sizeof *errors);
    char text[2048];
    char err[256] = "";
    int n = snprintf(text, sizeof text, config_text, limits);
    assert_non_null(rig);
    assert_non_null(errors);
    if (config_load_string(text, (size_t)n, "shunt.cfg", &rig->worker.config, errors)) {
        print_error("%s\n", errors->text[0]);
        fail();
    }
    free(errors);
    assert_int_equal(loop_create(&rig->worker.loop), 0);
    rig->worker.cell = calloc(1, sizeof *rig->worker.cell);
    assert_non_null(rig->worker.cell);
    rig->worker.cell->loop = rig->worker.loop;
    rig->worker.cell->reject = -1;
    rig->worker.cell->origin = rig->origin;
    rig->worker.cell->task.run = fake_dispatch;
    rig->worker.phase = WORKER_READY;
    fake_worker = &rig->worker;
    if (front_create(&rig->worker, NULL, err, sizeof err, &rig->front)) {
        print_error("%s\n", err);
        fail();
    }
    int fd = listen_any(port, &rig->port);
    assert_int_equal(front_listen_fd(rig->front, fd), 0);
    rig->engine = -1;
    return rig;
}

static int setup(void **state)
{
    struct rig *rig = rig_make(0, "");
    unsigned port;
    rig->engine_listener = listen_any(0, &port);
    (void)snprintf(rig->origin, sizeof rig->origin, "127.0.0.1:%u", port);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    front_destroy(rig->front);
    loop_destroy(rig->worker.loop);
    config_free(rig->worker.config);
    if (rig->engine >= 0) {
        (void)close(rig->engine);
    }
    (void)close(rig->engine_listener);
    free(rig->worker.cell);
    free(rig);
    return 0;
}

/* ------------------------------------------------------------------ the two ends */

static int connect_client(const struct rig *rig)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)rig->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void send_all(int fd, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
}

static void take(int fd, char *buf, size_t *len, size_t size, bool *ret_end)
{
    ssize_t n;
    while (fd >= 0 && *len + 1 < size && (n = read(fd, buf + *len, size - *len - 1)) >= 0) {
        if (n == 0) {
            *ret_end = true;
            break;
        }
        *len += (size_t)n;
        buf[*len] = '\0';
    }
    if (fd >= 0 && *len + 1 < size && errno == ECONNRESET) {
        *ret_end = true;
    }
}

/* Turns the loop and reads both ends until the condition holds; fails after many turns. */
static void pump(struct rig *rig, int client)
{
    bool engine_end = false;
    struct pollfd nothing;
    (void)poll(&nothing, 0, 1); /* lets the kernel move bytes; nothing depends on how long */
    assert_int_equal(loop_run_once(rig->worker.loop, false), 0);
    if (rig->engine < 0) {
        rig->engine = accept4(rig->engine_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    errno = 0;
    take(rig->engine, rig->seen, &rig->seen_len, sizeof rig->seen, &engine_end);
    errno = 0;
    if (client >= 0) {
        take(client, rig->got, &rig->got_len, sizeof rig->got, &rig->got_end);
    }
}

#define UNTIL(rig, client, condition)                                                              \
    do {                                                                                           \
        int turns_ = 0;                                                                            \
        while (!(condition)) {                                                                     \
            pump(rig, client);                                                                     \
            if (++turns_ > 10000) {                                                                \
                print_error("client got: %.500s\nengine saw: %.500s\n", (rig)->got, (rig)->seen);  \
                fail_msg("waited in vain for %s", #condition);                                     \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static int post(struct rig *rig, const char *path, const char *type, const char *fields,
                const char *body)
{
    int fd = connect_client(rig);
    char *text = malloc(strlen(body) + 1024);
    assert_non_null(text);
    (void)snprintf(text, strlen(body) + 1024,
                   "POST %s HTTP/1.1\r\nHost: x\r\n%s%s%s%sContent-Length: %zu\r\n\r\n%s", path,
                   type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "", fields,
                   strlen(body), body);
    rig->got_len = 0;
    rig->got[0] = '\0';
    rig->got_end = false;
    send_all(fd, text);
    free(text);
    return fd;
}

static int chat(struct rig *rig, const char *body)
{
    return post(rig, "/v1/chat/completions", "application/json", "", body);
}

#define JSON_OF(model) "{\"model\": \"" model "\", \"messages\": []}"

/* Whether the whole answer of known length is there. */
static bool complete(const struct rig *rig)
{
    const char *head_end = strstr(rig->got, "\r\n\r\n");
    const char *length = strcasestr(rig->got, "\r\ncontent-length:");
    return head_end && length && strlen(head_end + 4) >= strtoul(length + 17, NULL, 10);
}

static void expect(struct rig *rig, int fd, const char *status, const char *part)
{
    UNTIL(rig, fd, complete(rig));
    if (strncmp(rig->got + 9, status, 3) != 0 || !has(rig->got, part)) {
        print_error("%s\n", rig->got);
        fail_msg("expected %s with %s", status, part);
    }
    (void)close(fd);
}

/* ------------------------------------------------------------------ tests */

static void passes_through(void **state)
{
    struct rig *rig = *state;
    int fd = post(rig, "/v1/chat/completions?x=1", "application/json",
                  "Authorization: Bearer engine-key\r\nX-Own: 1\r\nConnection: X-Drop\r\nX-Drop: "
                  "2\r\nx-shunt-priority: 3\r\nAccept-Encoding: gzip\r\n",
                  JSON_OF("alpha"));
    UNTIL(rig, fd, has(rig->seen, JSON_OF("alpha")));
    assert_true(has(rig->seen, "POST /v1/chat/completions?x=1 HTTP/1.1\r\n"));
    assert_true(has(rig->seen, "X-Own: 1\r\n"));
    assert_true(has(rig->seen, "engine-key"));
    assert_false(has(rig->seen, "X-Drop"));
    assert_false(has(rig->seen, "x-shunt"));
    assert_false(has(rig->seen, "gzip"));
    assert_int_equal(rig->worker.cell->submitted.priority, 3);
    send_all(rig->engine, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Engine: e\r\n"
                          "Content-Length: 47\r\n\r\n"
                          "{\"usage\":{\"completion_tokens\":5,\"x\":12345678}} ");
    expect(rig, fd, "200", "12345678");
    assert_true(has(rig->got, "x-shunt-request: r-1\r\n"));
    assert_true(has(rig->got, "x-shunt-queue-ms: 12\r\n"));
    assert_true(has(rig->got, "x-shunt-policy: fifo\r\n"));
    assert_true(has(rig->got, "X-Engine: e\r\n"));
    assert_int_equal(rig->worker.cell->completed[SHUNT_OUTCOME_COMPLETED], 1);
    assert_int_equal(rig->worker.cell->last.output_tokens, 5);
    assert_int_equal(rig->worker.cell->first_tokens, 1);
}

static void renames(void **state)
{
    struct rig *rig = *state;
    /* An alias, written with an escape, becomes the served name; the rest stays untouched. */
    int fd = chat(rig, "{\"a\": [1e5], \"model\" : \"def\\u0061ult\", \"z\":\"\\u00e4\"}");
    UNTIL(rig, fd, has(rig->seen, "{\"a\": [1e5], \"model\" : \"alpha\", \"z\":\"\\u00e4\"}"));
    assert_true(has(rig->seen, "Content-Length: 45\r\n") ||
                has(rig->seen, "content-length: 45\r\n"));
    (void)close(fd);
}

static void renames_upstream(void **state)
{
    struct rig *rig = *state;
    rig->worker.cell->upstream_model = "Q\"x";
    int fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, fd, has(rig->seen, "{\"model\": \"Q\\\"x\", \"messages\": []}"));
    (void)close(fd);
}

static void renames_forms(void **state)
{
    struct rig *rig = *state;
    int fd =
        post(rig, "/v1/audio/transcriptions", "multipart/form-data; boundary=b", "",
             "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ndefault\r\n--b--\r\n");
    UNTIL(rig, fd, has(rig->seen, "\r\n\r\nalpha\r\n--b--\r\n"));
    (void)close(fd);
}

static void upstream_path(void **state)
{
    struct rig *rig = *state;
    int fd = post(rig, "/upstream/org/beta/any/path?q=%20", NULL, "", "raw");
    UNTIL(rig, fd, has(rig->seen, "\r\n\r\nraw"));
    assert_true(has(rig->seen, "POST /any/path?q=%20 HTTP/1.1\r\n"));
    (void)close(fd);
}

static void refusals(void **state)
{
    struct rig *rig = *state;
    const struct {
        const char *body, *status, *part;
    } cases[] = {
        {"", "400", "empty"},
        {"{", "400", "\"param\":null"},
        {"[]", "400", "invalid_json"},
        {"{\"messages\":[]}", "400", "\"param\":\"model\""},
        {"{\"model\":7}", "400", "\"param\":\"model\""},
        {"{\"model\":\"\"}", "400", "\"param\":\"model\""},
        {"{\"model\":\"alpha\",\"model\":\"org/beta\"}", "400", "\"param\":\"model\""},
        {"{\"model\":\"alpha\",\"mod\\u0065l\":\"org/beta\"}", "400", "\"param\":\"model\""},
        {"{\"model\":\"alpha\",\"stream\":1}", "400", "\"param\":\"stream\""},
        {"{\"model\":\"alpha\",\"max_tokens\":-1}", "400", "\"param\":\"max_tokens\""},
        {"{\"model\":\"gamma\"}", "404", "known models: alpha, org/beta."},
        {"{\"model\":\"alph\"}", "404", "model_not_found"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("%s\n", cases[i].body);
        expect(rig, chat(rig, cases[i].body), cases[i].status, cases[i].part);
    }
    expect(rig, post(rig, "/v1/x", "text/plain", "", "{}"), "415", "unsupported_media_type");
    expect(rig, post(rig, "/v1/x", "multipart/form-data; boundary=b", "", "--b--\r\n"), "415",
           "no_model_field");
    expect(rig, post(rig, "/v2/x", NULL, "", "{}"), "404", "unknown_path");
    expect(rig, post(rig, "/upstream/gamma/x", NULL, "", "{}"), "404", "model_not_found");
    expect(rig, post(rig, "/v1/x", NULL, "x-shunt-priority: 8\r\n", "{}"), "400",
           "\"param\":\"x-shunt-priority\"");
    expect(rig, post(rig, "/v1/x", NULL, "x-shunt-deadline-ms: 1s\r\n", "{}"), "400",
           "\"param\":\"x-shunt-deadline-ms\"");
    expect(rig, post(rig, "/v1/models", NULL, "", "{}"), "405", "Allow: GET, HEAD, OPTIONS\r\n");
    rig->worker.cell->reject = CORE_REJECT_QUEUE_FULL;
    rig->worker.cell->retry_after_ns = INT64_C(2500000000);
    expect(rig, chat(rig, JSON_OF("alpha")), "429", "Retry-After: 3\r\n");
    rig->worker.cell->reject = CORE_REJECT_HOPELESS;
    expect(rig, chat(rig, JSON_OF("alpha")), "429", "wait_too_long");
    rig->worker.cell->reject = CORE_REJECT_UNAVAILABLE;
    rig->worker.cell->retry_after_ns = -1;
    expect(rig, chat(rig, JSON_OF("alpha")), "503", "Retry-After: 10\r\n");
    rig->worker.phase = WORKER_DRAINING;
    expect(rig, chat(rig, JSON_OF("alpha")), "503", "draining");
    assert_int_equal(rig->seen_len, 0);
    UNTIL(rig, -1, front_requests(rig->front) == 0);
}

static void small_answers(void **state)
{
    struct rig *rig = *state;
    const struct {
        const char *request, *status, *part;
    } cases[] = {
        {"GET /livez", "200", "ok\n"},
        {"GET /readyz", "200", "ok\n"},
        {"GET /v1/models", "200", "\"id\":\"default\""},
        {"GET /v1/models/default", "200", "\"root\":\"alpha\""},
        {"GET /v1/models/org%2Fbeta", "200", "\"id\":\"org/beta\""},
        {"GET /v1/models/org/beta", "200", "\"id\":\"org/beta\""},
        {"GET /v1/models/%zz", "404", "model_not_found"},
        {"GET /v1/chat/completions", "405", "Allow: POST, OPTIONS"},
        {"GET /nothing", "404", "unknown_path"},
        {"GET /", "404", "unknown_path"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        int fd = connect_client(rig);
        print_message("%s\n", cases[i].request);
        (void)snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: x\r\n\r\n", cases[i].request);
        rig->got_len = 0;
        rig->got[0] = '\0';
        send_all(fd, text);
        expect(rig, fd, cases[i].status, cases[i].part);
    }
    rig->worker.phase = WORKER_STARTING;
    rig->got_len = 0;
    rig->got[0] = '\0';
    int fd = connect_client(rig);
    send_all(fd, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(rig, fd, "503", "starting");
}

static void leaves_while_queued(void **state)
{
    struct rig *rig = *state;
    rig->worker.cell->hold = true;
    int fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, -1, rig->worker.cell->count == 1);
    (void)close(fd);
    UNTIL(rig, -1, rig->worker.cell->cancelled == 1);
    UNTIL(rig, -1, front_connections(rig->front) == 0);
    fake_release(rig->worker.cell);
    pump(rig, -1);
    assert_int_equal(rig->engine, -1);
}

static void leaves_while_running(void **state)
{
    struct rig *rig = *state;
    int fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, fd, has(rig->seen, "messages"));
    send_all(rig->engine, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n6\r\ndata: \r\n");
    UNTIL(rig, fd, has(rig->got, "data: "));
    (void)close(fd);
    UNTIL(rig, -1, rig->worker.cell->completed[SHUNT_OUTCOME_CANCELLED] == 1);
    char byte;
    UNTIL(rig, -1, recv(rig->engine, &byte, 1, MSG_PEEK) == 0 || errno == ECONNRESET);
}

static void engine_gone(void **state)
{
    struct rig *rig = *state;
    struct cell *cell = rig->worker.cell;
    /* Nobody listens: tried twice, then 502. */
    cell->origin = "127.0.0.1:1";
    expect(rig, chat(rig, JSON_OF("alpha")), "502", "engine_unreachable");
    assert_int_equal(cell->retried, 1);
    assert_true(cell->last.engine_refused);
    /* It closes without an answer: 502 and not sent again. */
    cell->origin = rig->origin;
    int fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, fd, has(rig->seen, "messages"));
    (void)close(rig->engine);
    rig->engine = -1;
    expect(rig, fd, "502", "engine_error");
    assert_int_equal(cell->retried, 1);
    /* In the middle of a stream: an event tells it. */
    rig->seen_len = 0;
    rig->seen[0] = '\0';
    fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, fd, has(rig->seen, "messages"));
    send_all(rig->engine, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n8\r\ndata: {\"\r\n");
    UNTIL(rig, fd, has(rig->got, "data: {\""));
    (void)close(rig->engine);
    rig->engine = -1;
    UNTIL(rig, fd, has(rig->got, "\n\n\r\n") && has(rig->got, "0\r\n\r\n"));
    assert_true(has(rig->got, "data: {\"error\":{\"message\":"));
    (void)close(fd);
    /* In the middle of a plain answer: it is cut, and does not look complete. */
    rig->seen_len = 0;
    rig->seen[0] = '\0';
    fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, fd, has(rig->seen, "messages"));
    send_all(rig->engine, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n");
    UNTIL(rig, fd, has(rig->got, "abcd"));
    (void)close(rig->engine);
    rig->engine = -1;
    UNTIL(rig, fd, rig->got_end);
    assert_false(has(rig->got, "0\r\n\r\n"));
    (void)close(fd);
    assert_int_equal(cell->completed[SHUNT_OUTCOME_FAILED], 4);
}

static void heartbeats(void **state)
{
    struct rig *rig = *state;
    rig->worker.cell->hold = true;
    int fd = chat(rig, "{\"model\":\"org/beta\",\"stream\":true}");
    UNTIL(rig, fd, has(rig->got, ": shunt queued position=3 eta_s=12\n\n"));
    assert_true(strncmp(rig->got, "HTTP/1.1 200", 12) == 0);
    assert_true(has(rig->got, "text/event-stream"));
    fake_release(rig->worker.cell);
    UNTIL(rig, fd, has(rig->seen, "org/beta"));
    send_all(rig->engine, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                          "Content-Length: 14\r\n\r\ndata: [DONE]\n\n");
    UNTIL(rig, fd, has(rig->got, "data: [DONE]\n\n") && has(rig->got, "\r\n0\r\n\r\n"));
    (void)close(fd);
    /* An engine's error behind an early 200 comes as an event. */
    rig->worker.cell->hold = true;
    rig->seen_len = 0;
    rig->seen[0] = '\0';
    fd = chat(rig, "{\"model\":\"org/beta\",\"stream\":true}");
    UNTIL(rig, fd, has(rig->got, ": shunt queued"));
    fake_release(rig->worker.cell);
    UNTIL(rig, fd, has(rig->seen, "org/beta"));
    send_all(rig->engine, "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                          "Content-Length: 26\r\n\r\n{\"error\":{\"message\":\"no\"}}");
    UNTIL(rig, fd, has(rig->got, "data: {\"error\":{\"message\":\"no\"}"));
    (void)close(fd);
    /* And so does the end of the wait. */
    rig->worker.cell->hold = true;
    fd = chat(rig, "{\"model\":\"org/beta\",\"stream\":true}");
    UNTIL(rig, fd, has(rig->got, ": shunt queued"));
    fake_end(rig->worker.cell, rig->worker.cell->count, SHUNT_OUTCOME_EXPIRED);
    UNTIL(rig, fd, has(rig->got, "shunt_queue_timeout") && has(rig->got, "0\r\n\r\n"));
    (void)close(fd);
}

static void ends(void **state)
{
    struct rig *rig = *state;
    struct cell *cell = rig->worker.cell;
    cell->hold = true;
    int fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, -1, cell->count == 1);
    fake_end(cell, 1, SHUNT_OUTCOME_EXPIRED);
    expect(rig, fd, "504", "shunt_queue_timeout");
    fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, -1, cell->count == 2);
    fake_end(cell, 2, SHUNT_OUTCOME_FAILED);
    expect(rig, fd, "503", "Retry-After: ");
    /* Cut at the drain limit: 503 before the answer began, an event within a stream. */
    fake_release(cell);
    fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, fd, has(rig->seen, "messages"));
    fake_end(cell, 3, SHUNT_OUTCOME_CUT);
    expect(rig, fd, "503", "shunt_drain_timeout");
    (void)close(rig->engine);
    rig->engine = -1;
    rig->seen[0] = '\0';
    rig->seen_len = 0;
    fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, fd, has(rig->seen, "messages"));
    send_all(rig->engine, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n");
    UNTIL(rig, fd, has(rig->got, "data: 1\n\n"));
    fake_end(cell, 4, SHUNT_OUTCOME_CUT);
    UNTIL(rig, fd, has(rig->got, "0\r\n\r\n"));
    assert_true(has(rig->got, "data: 1\n\n\r\n"));
    assert_true(has(rig->got, "\"code\":\"shunt_drain_timeout\""));
    assert_int_equal(cell->completed[SHUNT_OUTCOME_CUT], 2);
    (void)close(fd);
}

/* An engine that writes as fast as it can, as the socket takes it. */
static size_t flood(int fd, size_t len)
{
    static const char zeros[65536];
    size_t sent = 0;
    ssize_t n;
    while (sent < len &&
           (n = write(fd, zeros, len - sent < sizeof zeros ? len - sent : sizeof zeros)) > 0) {
        sent += (size_t)n;
    }
    return sent;
}

static void slow_client_frees_engine(void **state)
{
    struct rig *rig = *state;
    int fd = connect_client(rig);
    int small = 4096;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    send_all(fd,
             "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{\"model\":\"alpha\"}");
    UNTIL(rig, -1, has(rig->seen, "alpha"));
    send_all(rig->engine, "HTTP/1.1 200 OK\r\nContent-Length: 102400\r\n\r\n");
    size_t left = 102400;
    UNTIL(rig, -1, (left -= flood(rig->engine, left)) == 0);
    /* The client has read nothing, the engine is free. */
    UNTIL(rig, -1, rig->worker.cell->completed[SHUNT_OUTCOME_COMPLETED] == 1);
    size_t total = 0;
    static char buf[65536];
    for (int turns = 0; total < 102400 && turns < 10000; turns++) {
        pump(rig, -1);
        ssize_t n = read(fd, buf, sizeof buf);
        total += n > 0 ? (size_t)n : 0;
    }
    assert_true(total > 102400);
    (void)close(fd);
}

static void endless_answer_is_paused(void **state)
{
    struct rig *rig = *state;
    int fd = chat(rig, JSON_OF("alpha"));
    UNTIL(rig, -1, has(rig->seen, "messages"));
    send_all(rig->engine, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    size_t sent = 0;
    unsigned idle = 0;
    while (idle < 200) { /* until nothing moves any more */
        size_t n = flood(rig->engine, 1 << 20);
        sent += n;
        idle = n ? 0 : idle + 1;
        pump(rig, -1);
    }
    assert_true(sent < 50000000); /* kernel buffers and 128 KiB, not the whole answer */
    assert_int_equal(rig->worker.cell->completed[SHUNT_OUTCOME_COMPLETED], 0);
    /* It goes on when the client reads. */
    static char buf[1 << 20];
    size_t before = sent;
    for (int turns = 0; sent < before + 3000000 && turns < 20000; turns++) {
        while (read(fd, buf, sizeof buf) > 0) {
        }
        sent += flood(rig->engine, 1 << 20);
        pump(rig, -1);
    }
    assert_true(sent >= before + 3000000);
    (void)close(fd);
    UNTIL(rig, -1, rig->worker.cell->completed[SHUNT_OUTCOME_CANCELLED] == 1);
}

static void body_caps(void **state)
{
    struct rig *rig = *state;
    int fd = connect_client(rig);
    rig->got_len = 0;
    rig->got[0] = '\0';
    send_all(fd, "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n");
    expect(rig, fd, "413", "body_too_large");
    /* Two of 1 MiB do not fit 1.5 MiB together. */
    char *body = malloc(1000001);
    assert_non_null(body);
    memset(body, ' ', 1000000);
    body[1000000] = '\0';
    memcpy(body, "{\"model\":\"alpha\"}", 17);
    rig->worker.cell->hold = true;
    int fds[2];
    for (int i = 0; i < 2; i++) {
        fds[i] = connect_client(rig);
        rig->got_len = 0;
        rig->got[0] = '\0';
        send_all(fds[i], "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
        size_t sent = 0;
        for (int turns = 0; sent < 1000000 && turns < 10000; turns++) {
            ssize_t n = write(fds[i], body + sent, 1000000 - sent);
            sent += n > 0 ? (size_t)n : 0;
            pump(rig, fds[i]);
            if (complete(rig)) {
                break;
            }
        }
        if (i == 0) {
            UNTIL(rig, -1, rig->worker.cell->count == 1);
        }
    }
    expect(rig, fds[1], "503", "bodies_full");
    (void)close(fds[0]);
    free(body);
    UNTIL(rig, -1, rig->worker.cell->cancelled == 1);
}

static void requeued(void **state)
{
    struct rig *rig = *state;
    int fd = chat(rig, JSON_OF("default"));
    UNTIL(rig, fd, has(rig->seen, "messages"));
    struct fake_request *r = &rig->worker.cell->requests[0];
    r->ops->abort(r->cookie); /* as at a drain with the mode "requeue" */
    assert_int_equal(rig->worker.cell->retried, 1);
    (void)close(rig->engine);
    rig->engine = -1;
    rig->seen_len = 0;
    rig->seen[0] = '\0';
    UNTIL(rig, fd, has(rig->seen, JSON_OF("alpha")));
    send_all(rig->engine, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    expect(rig, fd, "200", "{}");
}

static int serve(unsigned port, const char *origin, bool hold)
{
    struct rig *rig = rig_make(port, "");
    (void)snprintf(rig->origin, sizeof rig->origin, "%s", origin);
    rig->worker.cell->hold = hold;
    printf("ready %u\n", rig->port);
    (void)fflush(stdout);
    return loop_run(rig->worker.loop);
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "--serve") == 0) {
        return serve((unsigned)strtoul(argv[2], NULL, 10), argv[3], argc == 5);
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(passes_through),
        TEST(renames),
        TEST(renames_upstream),
        TEST(renames_forms),
        TEST(upstream_path),
        TEST(refusals),
        TEST(small_answers),
        TEST(leaves_while_queued),
        TEST(leaves_while_running),
        TEST(engine_gone),
        TEST(heartbeats),
        TEST(ends),
        TEST(slow_client_frees_engine),
        TEST(endless_answer_is_paused),
        TEST(body_caps),
        TEST(requeued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
