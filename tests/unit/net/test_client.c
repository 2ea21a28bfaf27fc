/*
 * The client against a scripted server: a listening socket whose connections the test reads and
 * answers by hand, so that every ending can be made to happen.
 */
#include "net_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const int64_t ms_ns = 1000000;

/* What one exchange said. */
struct seen {
    char log[512];
    char body[256];
    size_t body_len, body_total;
    unsigned heads, dones;
    enum client_result result;
    char detail[128];
    bool reused;
    bool pause, pause_on_body, cancel_on_head, cancel_on_body;
};

struct rig {
    struct fixture f; /* only its loop and watchdog */
    struct client *client;
    int listener;
    unsigned port;
};

static void on_head(struct client_exchange *exchange, const struct http_head *head, void *user)
{
    struct seen *seen = user;
    seen->heads++;
    (void)snprintf(seen->log, sizeof seen->log, "%u", head->status);
    if (seen->pause) {
        client_pause(exchange);
    }
    if (seen->cancel_on_head) {
        client_cancel(exchange);
    }
}

static void on_body(struct client_exchange *exchange, struct span data, void *user)
{
    struct seen *seen = user;
    size_t room = sizeof seen->body - 1 - seen->body_len;
    size_t take = data.len < room ? data.len : room;
    memcpy(seen->body + seen->body_len, data.data, take);
    seen->body_len += take;
    seen->body_total += data.len;
    if (seen->pause_on_body) {
        client_pause(exchange);
    }
    if (seen->cancel_on_body) {
        client_cancel(exchange);
    }
}

static void on_done(struct client_exchange *exchange, enum client_result result, void *user)
{
    struct seen *seen = user;
    seen->dones++;
    seen->result = result;
    seen->reused = client_reused(exchange);
    (void)snprintf(seen->detail, sizeof seen->detail, "%s", client_detail(exchange));
}

static const struct client_ops ops = {
    .response_head = on_head, .response_body = on_body, .done = on_done};

static void rig_open(struct rig *rig)
{
    fixture_open(&rig->f, NULL);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    rig->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(rig->listener >= 0);
    assert_int_equal(bind(rig->listener, (struct sockaddr *)(void *)&at, sizeof at), 0);
    assert_int_equal(listen(rig->listener, 8), 0);
    assert_int_equal(getsockname(rig->listener, (struct sockaddr *)(void *)&at, &len), 0);
    rig->port = ntohs(at.sin_port);
    char origin[32];
    (void)snprintf(origin, sizeof origin, "127.0.0.1:%u", rig->port);
    struct client_options options = client_options_default;
    options.origin = origin;
    assert_int_equal(client_create(rig->f.loop, &options, &rig->client), 0);
}

static void rig_close(struct rig *rig)
{
    client_destroy(rig->client);
    (void)close(rig->listener);
    fixture_close(&rig->f);
}

static struct client_request get_request(void)
{
    return (struct client_request){.method = SPAN_LITERAL("GET"), .target = SPAN_LITERAL("/x")};
}

static struct client_exchange *rig_send(struct rig *rig, struct seen *seen,
                                        const struct client_request *request)
{
    struct client_exchange *exchange;
    assert_int_equal(client_send(rig->client, request, &ops, seen, &exchange), 0);
    assert_int_equal(seen->dones, 0);
    return exchange;
}

/* Accepts the client's connection and reads up to the end of a head. */
static int rig_accept(struct rig *rig, struct heard *heard)
{
    int fd = accept4(rig->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    fixture_hear(&rig->f, fd, heard, "\r\n\r\n");
    return fd;
}

static void test_exchange_and_reuse(void **state)
{
    (void)state;
    struct rig rig;
    struct heard heard = {0};
    rig_open(&rig);
    struct client_request request = get_request();
    request.fields = SPAN_LITERAL("A: b\r\n");
    struct seen seen = {0};
    (void)rig_send(&rig, &seen, &request);
    int fd = rig_accept(&rig, &heard);
    char expected[128];
    (void)snprintf(expected, sizeof expected,
                   "GET /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nA: b\r\n\r\n", rig.port);
    assert_string_equal(heard.text, expected);
    say(fd, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    UNTIL(&rig.f, seen.body_total == 2);
    say(fd, "llo");
    UNTIL(&rig.f, seen.dones == 1);
    assert_int_equal(seen.result, CLIENT_OK);
    assert_string_equal(seen.log, "200");
    assert_string_equal(seen.body, "hello");
    assert_int_equal(client_stats(rig.client)->idle, 1);

    struct seen again = {0};
    heard = (struct heard){0};
    (void)rig_send(&rig, &again, &request);
    fixture_hear(&rig.f, fd, &heard, "\r\n\r\n");
    say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    UNTIL(&rig.f, again.dones == 1);
    assert_int_equal(again.result, CLIENT_OK);
    assert_true(again.reused);
    assert_int_equal(client_stats(rig.client)->connects, 1);
    (void)close(fd);
    UNTIL(&rig.f, client_stats(rig.client)->open == 0); /* noticed while idle */
    rig_close(&rig);
}

static void test_body_in_pieces_and_large(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    enum { LARGE = 8 << 20 };
    char *large = malloc(LARGE);
    assert_non_null(large);
    memset(large, 'L', LARGE);
    struct client_request request = get_request();
    request.method = SPAN_LITERAL("POST");
    request.body[0] = SPAN_LITERAL("{\"model\":");
    request.body[1] = SPAN_LITERAL("\"m\"");
    request.body[2] = span_of(large, LARGE);
    request.body_len = 3;
    struct seen seen = {0};
    struct heard heard = {0};
    (void)rig_send(&rig, &seen, &request);
    int fd = rig_accept(&rig, &heard);
    char length[64];
    (void)snprintf(length, sizeof length, "Content-Length: %d\r\n\r\n{\"model\":\"m\"LLL",
                   LARGE + 12);
    assert_non_null(strstr(heard.text, length));
    size_t head_len = (size_t)(strstr(heard.text, "\r\n\r\n") - heard.text) + 4;
    while (heard.total < head_len + LARGE + 12) {
        (void)hear(&heard, fd);
        assert_int_equal(loop_run_once(rig.f.loop, false), 0);
    }
    assert_int_equal(heard.total, head_len + LARGE + 12);
    say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    UNTIL(&rig.f, seen.dones == 1);
    assert_string_equal(seen.body, "ok");
    assert_int_equal(client_stats(rig.client)->idle, 1);
    free(large);
    (void)close(fd);
    rig_close(&rig);
}

/* The server closes a pooled connection as the next request is on its way: one retry. */
static void test_pooled_connection_closed_is_retried_once(void **state)
{
    (void)state;
    struct rig rig;
    struct heard heard = {0};
    rig_open(&rig);
    const struct client_request request = get_request();
    struct seen first = {0}, second = {0};
    (void)rig_send(&rig, &first, &request);
    int fd = rig_accept(&rig, &heard);
    say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    UNTIL(&rig.f, first.dones == 1);
    (void)rig_send(&rig, &second, &request); /* the loop has not seen the close that follows */
    (void)close(fd);
    UNTIL(&rig.f, client_stats(rig.client)->retries == 1);
    heard = (struct heard){0};
    fd = rig_accept(&rig, &heard);
    (void)close(fd); /* a fresh connection is not retried */
    UNTIL(&rig.f, second.dones == 1);
    assert_int_equal(second.result, CLIENT_CLOSED);
    assert_string_equal(second.detail, "closed without an answer");
    assert_false(second.reused);
    assert_int_equal(client_stats(rig.client)->retries, 1);
    assert_int_equal(client_stats(rig.client)->connects, 2);
    rig_close(&rig);
}

static void test_no_retry_once_a_byte_came(void **state)
{
    (void)state;
    struct rig rig;
    struct heard heard = {0};
    rig_open(&rig);
    const struct client_request request = get_request();
    struct seen first = {0}, second = {0};
    (void)rig_send(&rig, &first, &request);
    int fd = rig_accept(&rig, &heard);
    say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
    UNTIL(&rig.f, first.dones == 1);
    heard = (struct heard){0};
    (void)rig_send(&rig, &second, &request);
    fixture_hear(&rig.f, fd, &heard, "\r\n\r\n");
    say(fd, "H");
    (void)close(fd);
    UNTIL(&rig.f, second.dones == 1);
    assert_int_equal(second.result, CLIENT_CLOSED);
    assert_int_equal(client_stats(rig.client)->retries, 0);
    rig_close(&rig);
}

struct ending {
    const char *answer; /* then the server closes, if `closes` */
    bool closes;
    enum client_result result;
    const char *body;
    bool pooled;
};

static void test_endings(void **state)
{
    (void)state;
    static const struct ending endings[] = {
        {"HTTP/1.1 200 OK\r\n\r\nto the end", true, CLIENT_OK, "to the end", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", false, CLIENT_OK,
         "hi", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, CLIENT_OK, "hi", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi more", false, CLIENT_OK, "hi", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", true, CLIENT_CLOSED, "hi", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", true, CLIENT_CLOSED,
         "hi", false},
        {"HTTP/1.1 200 OK\r\nContent-Le", true, CLIENT_CLOSED, "", false},
        {"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", false, CLIENT_BAD_RESPONSE, "", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, CLIENT_BAD_RESPONSE,
         "", false},
        {"nonsense\r\n\r\n", false, CLIENT_BAD_RESPONSE, "", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, CLIENT_OK, "", true},
    };
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        struct rig rig;
        struct heard heard = {0};
        rig_open(&rig);
        const struct client_request request = get_request();
        struct seen seen = {0};
        (void)rig_send(&rig, &seen, &request);
        int fd = rig_accept(&rig, &heard);
        say(fd, endings[i].answer);
        if (endings[i].closes) {
            assert_int_equal(shutdown(fd, SHUT_WR), 0);
        }
        UNTIL(&rig.f, seen.dones == 1);
        if (seen.result != endings[i].result) {
            fail_msg("%s: %s", endings[i].answer, client_result_name(seen.result));
        }
        assert_string_equal(seen.body, endings[i].body);
        assert_int_equal(client_stats(rig.client)->idle, endings[i].pooled);
        assert_int_equal(client_stats(rig.client)->open, endings[i].pooled);
        (void)close(fd);
        rig_close(&rig);
    }
}

static void test_refused_and_unresolved(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    (void)close(rig.listener); /* nobody listens on the port any more */
    const struct client_request request = get_request();
    struct seen seen = {0};
    (void)rig_send(&rig, &seen, &request);
    UNTIL(&rig.f, seen.dones == 1);
    assert_int_equal(seen.result, CLIENT_CONNECT_FAILED);
    assert_string_equal(seen.detail, "connect: Connection refused");

    struct client_options options = client_options_default;
    struct client *client;
    options.origin = "unix:/nonexistent/socket";
    assert_int_equal(client_create(rig.f.loop, &options, &client), 0);
    struct client_exchange *exchange;
    seen = (struct seen){0};
    assert_int_equal(client_send(client, &request, &ops, &seen, &exchange), 0);
    assert_int_equal(seen.dones, 0);
    UNTIL(&rig.f, seen.dones == 1);
    assert_int_equal(seen.result, CLIENT_CONNECT_FAILED);
    /* Cancelled before it could be reported. */
    seen = (struct seen){0};
    assert_int_equal(client_send(client, &request, &ops, &seen, &exchange), 0);
    client_cancel(exchange);
    fixture_settle(&rig.f);
    assert_int_equal(seen.dones, 0);
    client_destroy(client);

    options.origin = "host";
    assert_int_equal(client_create(rig.f.loop, &options, &client), -EINVAL);
    rig.listener = -1;
    rig_close(&rig);
}

static void test_timeouts(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int first_byte, between, total;
        enum client_result result;
    } cases[] = {
        {"", 20, 0, 0, CLIENT_FIRST_BYTE_TIMEOUT},
        {"HTTP/1.1 200 O", 20, 0, 0, CLIENT_FIRST_BYTE_TIMEOUT},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", 10000, 20, 0,
         CLIENT_BETWEEN_BYTES_TIMEOUT},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", 0, 0, 20, CLIENT_TOTAL_TIMEOUT},
        {"", 0, 0, 20, CLIENT_TOTAL_TIMEOUT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig rig;
        struct heard heard = {0};
        rig_open(&rig);
        struct client_request request = get_request();
        request.first_byte_timeout_ns = cases[i].first_byte * ms_ns;
        request.between_bytes_timeout_ns = cases[i].between * ms_ns;
        request.total_due_ns =
            cases[i].total ? loop_now_ns(rig.f.loop) + cases[i].total * ms_ns : 0;
        struct seen seen = {0};
        (void)rig_send(&rig, &seen, &request);
        int fd = accept4(rig.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        say(fd, cases[i].answer);
        UNTIL(&rig.f, seen.dones == 1);
        assert_int_equal(seen.result, cases[i].result);
        fixture_hear_close(&rig.f, fd, &heard);
        (void)close(fd);
        rig_close(&rig);
    }
}

static void test_cancel_closes(void **state)
{
    (void)state;
    for (int when = 0; when < 3; when++) {
        struct rig rig;
        struct heard heard = {0};
        rig_open(&rig);
        const struct client_request request = get_request();
        struct seen seen = {.cancel_on_head = when == 1, .cancel_on_body = when == 2};
        struct client_exchange *exchange = rig_send(&rig, &seen, &request);
        int fd = rig_accept(&rig, &heard);
        if (when == 0) {
            client_cancel(exchange);
        } else {
            say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
            UNTIL(&rig.f, client_stats(rig.client)->cancelled == 1);
        }
        fixture_hear_close(&rig.f, fd, &heard);
        assert_int_equal(seen.dones, 0);
        assert_int_equal(client_stats(rig.client)->open, 0);
        (void)close(fd);
        rig_close(&rig);
    }
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    struct rig rig;
    struct heard heard = {0};
    rig_open(&rig);
    struct client_request request = get_request();
    request.between_bytes_timeout_ns = 20 * ms_ns; /* must not count while paused */
    struct seen seen = {.pause = true};
    struct client_exchange *exchange = rig_send(&rig, &seen, &request);
    int fd = rig_accept(&rig, &heard);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    UNTIL(&rig.f, seen.heads == 1);
    fixture_spin(&rig.f, 60 * ms_ns);
    assert_int_equal(seen.body_total, 0);
    assert_int_equal(seen.dones, 0);
    client_resume(exchange);
    UNTIL(&rig.f, seen.dones == 1);
    assert_string_equal(seen.body, "hello");
    (void)close(fd);
    rig_close(&rig);
}

/* Nothing comes behind the last byte, so resuming alone must bring the end. */
static void test_pause_at_the_last_byte(void **state)
{
    (void)state;
    struct rig rig;
    struct heard heard = {0};
    rig_open(&rig);
    const struct client_request request = get_request();
    struct seen seen = {.pause_on_body = true};
    struct client_exchange *exchange = rig_send(&rig, &seen, &request);
    int fd = rig_accept(&rig, &heard);
    say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    UNTIL(&rig.f, seen.body_total == 5);
    fixture_settle(&rig.f);
    assert_int_equal(seen.dones, 0);
    client_resume(exchange);
    UNTIL(&rig.f, seen.dones == 1);
    assert_int_equal(seen.result, CLIENT_OK);
    (void)close(fd);
    rig_close(&rig);
}

static void test_idle_limits(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    client_destroy(rig.client);
    char origin[32];
    (void)snprintf(origin, sizeof origin, "127.0.0.1:%u", rig.port);
    struct client_options options = client_options_default;
    options.origin = origin;
    options.idle_max = 1;
    options.idle_timeout_ns = 20 * ms_ns;
    assert_int_equal(client_create(rig.f.loop, &options, &rig.client), 0);
    const struct client_request request = get_request();
    struct seen seen[2] = {{.heads = 0}, {.heads = 0}};
    int fds[2];
    for (int i = 0; i < 2; i++) {
        struct heard heard = {0};
        (void)rig_send(&rig, &seen[i], &request);
        fds[i] = rig_accept(&rig, &heard);
    }
    for (int i = 0; i < 2; i++) {
        say(fds[i], "HTTP/1.1 204 No Content\r\n\r\n");
        UNTIL(&rig.f, seen[i].dones == 1);
    }
    assert_int_equal(client_stats(rig.client)->idle, 1);
    UNTIL(&rig.f, client_stats(rig.client)->idle == 0); /* by the time limit */
    assert_int_equal(client_stats(rig.client)->open, 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
    rig_close(&rig);
}

/* The project's own two sides against each other, through one loop. */
static void test_against_the_server(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 100, 3 << 20};
    for (int chunked = 0; chunked < 2; chunked++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct rig rig;
            rig_open(&rig);
            rig.f.reply_on_end = true;
            rig.f.reply_bytes = sizes[i];
            rig.f.chunked = chunked;
            char origin[32];
            (void)snprintf(origin, sizeof origin, "127.0.0.1:%u", server_port(rig.f.server));
            struct client_options options = client_options_default;
            options.origin = origin;
            struct client *client;
            assert_int_equal(client_create(rig.f.loop, &options, &client), 0);
            for (int round = 0; round < 3; round++) {
                struct seen seen = {0};
                struct client_exchange *exchange;
                const struct client_request request = get_request();
                assert_int_equal(client_send(client, &request, &ops, &seen, &exchange), 0);
                UNTIL(&rig.f, seen.dones == 1);
                assert_int_equal(seen.result, CLIENT_OK);
                assert_int_equal(seen.body_total, sizes[i] ? sizes[i] : 2);
                assert_int_equal(seen.reused, round > 0);
            }
            client_destroy(client);
            rig_close(&rig);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange_and_reuse),
        cmocka_unit_test(test_body_in_pieces_and_large),
        cmocka_unit_test(test_pooled_connection_closed_is_retried_once),
        cmocka_unit_test(test_no_retry_once_a_byte_came),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_refused_and_unresolved),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_cancel_closes),
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_pause_at_the_last_byte),
        cmocka_unit_test(test_idle_limits),
        cmocka_unit_test(test_against_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
