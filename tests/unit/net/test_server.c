/* Server connections over loopback sockets: good clients, bad clients, and clients that leave. */
#include "net_fixture.h"

#include <event2/buffer.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static const int64_t ms_ns = 1000000;

static void test_request_and_answer(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    f.reply_on_end = true;
    int fd = fixture_dial(&f);
    for (int i = 0; i < 3; i++) {
        struct heard heard = {0};
        say(fd, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        fixture_hear(&f, fd, &heard, "\r\n\r\nok");
        assert_non_null(strstr(heard.text, "HTTP/1.1 200 OK\r\n"));
        assert_non_null(strstr(heard.text, "Content-Length: 2\r\n"));
        assert_non_null(strstr(heard.text, "Date: "));
    }
    assert_int_equal(f.body_bytes, 9);
    assert_string_equal(f.log, "head:/x end complete head:/x end complete head:/x end complete ");
    assert_int_equal(server_stats(f.server)->accepted, 1);
    (void)close(fd);
    UNTIL(&f, server_stats(f.server)->conns == 0);
    fixture_close(&f);
}

static void test_slow_bytes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    f.reply_on_end = true;
    int fd = fixture_dial(&f);
    struct heard heard = {0};
    const char *text = "POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nabc\r\n0\r\nX: y\r\n\r\n";
    for (const char *p = text; *p; p++) {
        const char one[2] = {*p, '\0'};
        say(fd, one);
        fixture_settle(&f);
    }
    fixture_hear(&f, fd, &heard, "\r\n\r\nok");
    assert_int_equal(f.body_bytes, 3);
    (void)close(fd);
    fixture_close(&f);
}

static void test_pipelined_requests_are_served_in_turn(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    int fd = fixture_dial(&f);
    struct heard heard = {0};
    say(fd, GET("/1") GET("/2") GET("/3"));
    UNTIL(&f, f.ends == 1);
    fixture_settle(&f);
    assert_string_equal(f.log, "head:/1 end "); /* the others wait */
    fixture_reply(&f, f.conn);
    UNTIL(&f, f.ends == 2);
    fixture_reply(&f, f.conn);
    UNTIL(&f, f.ends == 3);
    fixture_reply(&f, f.conn);
    UNTIL(&f, f.dones == 3);
    fixture_hear(&f, fd, &heard, "ok");
    assert_string_equal(f.log, "head:/1 end complete head:/2 end complete head:/3 end complete ");
    (void)close(fd);
    fixture_close(&f);
}

static void test_many_pipelined_requests_answered_at_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    f.reply_on_end = true;
    int fd = fixture_dial(&f);
    enum { REQUESTS = 500 };
    for (int i = 0; i < REQUESTS; i++) {
        say(fd, GET("/"));
    }
    struct heard heard = {0};
    UNTIL(&f, f.dones == REQUESTS);
    (void)hear(&heard, fd);
    assert_false(heard.closed);
    (void)close(fd);
    fixture_close(&f);
}

static void test_a_client_that_leaves_while_queued_is_noticed(void **state)
{
    (void)state;
    /* What comes in front of the end: nothing, bytes that were read with the request, and bytes
     * that stay unread in the kernel. */
    static const char *const requests[] = {GET("/q"), GET("/q") "GET", GET("/q")};
    static const char *const later[] = {"", "", GET("/r")};
    for (size_t i = 0; i < 3; i++) {
        for (int reset = 0; reset < 2; reset++) {
            struct fixture f;
            fixture_open(&f, NULL);
            int fd = fixture_dial(&f);
            say(fd, requests[i]);
            UNTIL(&f, f.ends == 1);
            say(fd, later[i]);
            fixture_settle(&f);
            const struct linger linger = {.l_onoff = reset, .l_linger = 0};
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
            (void)close(fd);
            UNTIL(&f, f.dones == 1);
            assert_string_equal(f.log, "head:/q end client_gone ");
            UNTIL(&f, server_stats(f.server)->conns == 0);
            fixture_close(&f);
        }
    }
}

static void test_half_close_is_allowed_if_set(void **state)
{
    (void)state;
    struct server_options options = server_options_default;
    options.abort_on_close = false;
    struct fixture f;
    fixture_open(&f, &options);
    int fd = fixture_dial(&f);
    say(fd, GET("/h"));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    UNTIL(&f, f.ends == 1);
    fixture_settle(&f);
    assert_int_equal(f.dones, 0);
    fixture_reply(&f, f.conn);
    struct heard heard = {0};
    fixture_hear_close(&f, fd, &heard);
    assert_non_null(strstr(heard.text, "\r\n\r\nok"));
    assert_false(heard.reset);
    (void)close(fd);
    fixture_close(&f);
}

/* A FIN that comes with the request does not take the answer away that was given at once. */
static void test_an_answer_at_once_survives_a_half_close(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    f.reply_on_end = true;
    int fd = fixture_dial(&f);
    say(fd, GET("/h"));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    struct heard heard = {0};
    fixture_hear_close(&f, fd, &heard);
    assert_non_null(strstr(heard.text, "\r\n\r\nok"));
    assert_string_equal(f.log, "head:/h end complete ");
    (void)close(fd);
    fixture_close(&f);
}

static void test_a_body_that_is_cut(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    int fd = fixture_dial(&f);
    say(fd, "POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    UNTIL(&f, f.body_bytes == 3);
    (void)close(fd);
    UNTIL(&f, f.dones == 1);
    assert_string_equal(f.log, "head:/c client_gone ");
    fixture_close(&f);
}

static void test_garbage_is_answered_and_closed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *status, *log;
    } cases[] = {
        {"\x16\x03\x01", "HTTP/1.1 400 ", "refused:400 "},
        {"GET / HTTP/1.1\n\n", "HTTP/1.1 400 ", "refused:400 "},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 ", "refused:505 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 413 ",
         "refused:413 "},
        {"POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 ",
         "head:/b bad_request "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        fixture_open(&f, NULL);
        int fd = fixture_dial(&f);
        struct heard heard = {0};
        say(fd, cases[i].text);
        fixture_hear(&f, fd, &heard, cases[i].status);
        (void)shutdown(fd, SHUT_WR);
        fixture_hear_close(&f, fd, &heard);
        assert_false(heard.reset);
        assert_non_null(strstr(heard.text, "Connection: close\r\n"));
        assert_string_equal(f.log, cases[i].log);
        UNTIL(&f, server_stats(f.server)->conns == 0);
        (void)close(fd);
        fixture_close(&f);
    }
}

/* An answer before the body was read reaches a client that is still sending. */
static void test_early_answer_while_the_body_comes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    f.reply_on_head = true;
    int fd = fixture_dial(&f);
    struct heard heard = {0};
    say(fd, "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    char block[4096];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 200; i++) {
        ssize_t put = send(fd, block, sizeof block, MSG_NOSIGNAL);
        assert_true(put > 0 || errno == EAGAIN);
        assert_int_equal(loop_run_once(f.loop, false), 0);
    }
    fixture_hear(&f, fd, &heard, "\r\n\r\nno");
    assert_non_null(strstr(heard.text, "HTTP/1.1 403 "));
    assert_int_equal(f.ends, 0);
    assert_int_equal(f.body_bytes, 0);
    assert_string_equal(f.log, "head:/e complete ");
    (void)close(fd);
    UNTIL(&f, server_stats(f.server)->conns == 0);
    fixture_close(&f);
}

static void test_slow_reader_is_buffered_and_drained(void **state)
{
    (void)state;
    struct fixture f;
    for (int chunked = 0; chunked < 2; chunked++) {
        fixture_open(&f, NULL);
        f.chunked = chunked;
        int fd = fixture_dial(&f);
        say(fd, GET("/big"));
        UNTIL(&f, f.ends == 1);
        const struct server_response response = {.status = 200, .length = chunked ? -1 : 32 << 20};
        assert_int_equal(server_respond(f.conn, &response), 0);
        static char data[1 << 20];
        for (int i = 0; i < 16; i++) {
            assert_int_equal(server_write(f.conn, span_of(data, sizeof data)), 0);
            struct evbuffer *buffer = evbuffer_new();
            assert_int_equal(evbuffer_add(buffer, data, sizeof data), 0);
            assert_int_equal(server_write_buffer(f.conn, buffer), 0);
            assert_int_equal(evbuffer_get_length(buffer), 0);
            evbuffer_free(buffer);
        }
        assert_true(server_pending_bytes(f.conn) > 16u << 20);
        assert_int_equal(server_stats(f.server)->out_bytes, server_pending_bytes(f.conn));
        struct heard heard = {0};
        while (!strstr(f.log, "drained")) {
            (void)hear(&heard, fd);
            assert_int_equal(loop_run_once(f.loop, false), 0);
        }
        assert_int_equal(server_finish(f.conn), 0);
        while (f.dones == 0) {
            (void)hear(&heard, fd);
            assert_int_equal(loop_run_once(f.loop, false), 0);
        }
        while (heard.total < 32u << 20) {
            (void)hear(&heard, fd);
        }
        assert_int_equal(server_stats(f.server)->out_bytes, 0);
        (void)close(fd);
        fixture_close(&f);
    }
}

static void test_a_reader_that_stalls_is_dropped(void **state)
{
    (void)state;
    struct server_options options = server_options_default;
    options.write_stall_ns = 50 * ms_ns;
    struct fixture f;
    fixture_open(&f, &options);
    f.reply_on_end = true;
    f.reply_bytes = 64 << 20;
    int fd = fixture_dial(&f);
    say(fd, GET("/s"));
    UNTIL(&f, f.dones == 1);
    assert_string_equal(f.log, "head:/s end write_stalled ");
    (void)close(fd);
    fixture_close(&f);
}

static void test_heads_and_bodies_that_come_too_slowly(void **state)
{
    (void)state;
    struct server_options options = server_options_default;
    options.head_timeout_ns = options.body_grace_ns = 50 * ms_ns;
    options.linger_ns = 50 * ms_ns;
    static const struct {
        const char *text, *log;
    } cases[] = {
        {"GET / HT", "refused:408 "},
        {"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc",
         "head:/b client_slow "},
    };
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        fixture_open(&f, &options);
        int fd = fixture_dial(&f);
        struct heard heard = {0};
        say(fd, cases[i].text);
        UNTIL(&f, f.log_len && (i == 0 || f.dones));
        fixture_hear(&f, fd, &heard, "HTTP/1.1 408 ");
        assert_string_equal(f.log, cases[i].log);
        UNTIL(&f, server_stats(f.server)->conns == 0); /* lingering ends by itself */
        (void)close(fd);
        fixture_close(&f);
    }
}

static void test_idle_connections_are_closed(void **state)
{
    (void)state;
    struct server_options options = server_options_default;
    options.idle_timeout_ns = 50 * ms_ns;
    struct fixture f;
    fixture_open(&f, &options);
    f.reply_on_end = true;
    int fd = fixture_dial(&f);
    struct heard heard = {0};
    say(fd, GET("/"));
    fixture_hear(&f, fd, &heard, "ok");
    UNTIL(&f, server_stats(f.server)->conns == 0);
    fixture_hear_close(&f, fd, &heard);
    assert_string_equal(f.log, "head:/ end complete ");
    (void)close(fd);
    fixture_close(&f);
}

static void test_pause_and_resume(void **state)
{
    (void)state;
    struct server_options options = server_options_default;
    options.body_grace_ns = 20 * ms_ns; /* must not count while paused */
    struct fixture f;
    fixture_open(&f, &options);
    f.pause_on_head = f.reply_on_end = true;
    int fd = fixture_dial(&f);
    struct heard heard = {0};
    say(fd, "POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    UNTIL(&f, f.conn);
    fixture_spin(&f, 60 * ms_ns);
    (void)hear(&heard, fd);
    assert_int_equal(heard.len, 0);
    server_resume(f.conn);
    fixture_hear(&f, fd, &heard, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "abc");
    fixture_hear(&f, fd, &heard, "\r\n\r\nok");
    assert_int_equal(f.body_bytes, 3);
    (void)close(fd);
    fixture_close(&f);
}

/* Nothing comes behind the last byte, so resuming alone must bring the end. */
static void test_pause_at_the_last_byte(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    f.pause_on_body = f.reply_on_end = true;
    int fd = fixture_dial(&f);
    struct heard heard = {0};
    say(fd, "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    UNTIL(&f, f.body_bytes == 3);
    fixture_settle(&f);
    assert_int_equal(f.ends, 0);
    server_resume(f.conn);
    fixture_hear(&f, fd, &heard, "\r\n\r\nok");
    (void)close(fd);
    fixture_close(&f);
}

static void test_head_and_old_clients(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        bool chunked;
        const char *expected, *absent;
        bool closes;
    } cases[] = {
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", false, "Content-Length: 5\r\n", "rrrrr", false},
        {"GET / HTTP/1.0\r\n\r\n", false, "\r\n\r\nrrrrr", "chunked", true},
        {"GET / HTTP/1.0\r\n\r\n", true, "\r\n\r\nrrrrr", "chunked", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, "Connection: keep-alive\r\n",
         "close", false},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, "\r\n\r\n5\r\nrrrrr\r\n0\r\n\r\n",
         "Content-Length", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, "Connection: close\r\n",
         "keep-alive", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        fixture_open(&f, NULL);
        f.reply_on_end = true;
        f.reply_bytes = 5;
        f.chunked = cases[i].chunked;
        int fd = fixture_dial(&f);
        struct heard heard = {0};
        say(fd, cases[i].request);
        fixture_hear(&f, fd, &heard, cases[i].expected);
        assert_null(strstr(heard.text, cases[i].absent));
        if (cases[i].closes) {
            fixture_hear_close(&f, fd, &heard);
            assert_false(heard.reset);
        } else {
            fixture_settle(&f);
            (void)hear(&heard, fd);
            assert_false(heard.closed);
        }
        (void)close(fd);
        fixture_close(&f);
    }
}

static void test_a_short_answer_closes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    int fd = fixture_dial(&f);
    struct heard heard = {0};
    say(fd, GET("/"));
    UNTIL(&f, f.ends == 1);
    const struct server_response response = {.status = 200, .length = 10};
    assert_int_equal(server_respond(f.conn, &response), 0);
    assert_int_equal(server_write(f.conn, SPAN_LITERAL("abc")), 0);
    assert_int_equal(server_finish(f.conn), 0);
    fixture_hear_close(&f, fd, &heard);
    assert_non_null(strstr(heard.text, "\r\n\r\nabc"));
    (void)close(fd);
    fixture_close(&f);
}

static void test_abort(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    int fd = fixture_dial(&f);
    struct heard heard = {0};
    say(fd, GET("/a"));
    UNTIL(&f, f.ends == 1);
    struct server_conn *conn = f.conn;
    server_abort(conn);
    /* Until the next turn the connection may still be named; it does nothing. */
    assert_int_equal(server_write(conn, SPAN_LITERAL("x")), -EPIPE);
    assert_string_equal(f.log, "head:/a end aborted ");
    fixture_hear_close(&f, fd, &heard);
    (void)close(fd);
    fixture_close(&f);
}

static void test_connection_limits(void **state)
{
    (void)state;
    struct server_options options = server_options_default;
    for (int per_ip = 0; per_ip < 2; per_ip++) {
        options.conns_max = per_ip ? 100 : 2;
        options.conns_per_ip_max = per_ip ? 2 : 0;
        struct fixture f;
        fixture_open(&f, &options);
        int first = fixture_dial(&f), second = fixture_dial(&f), third = fixture_dial(&f);
        struct heard heard = {0};
        fixture_hear_close(&f, third, &heard);
        assert_non_null(strstr(heard.text, "HTTP/1.1 503 "));
        assert_int_equal(server_stats(f.server)->conns, 2);
        assert_int_equal(server_stats(f.server)->refused_per_ip, per_ip);
        (void)close(first);
        UNTIL(&f, server_stats(f.server)->conns == 1);
        (void)close(third);
        third = fixture_dial(&f);
        UNTIL(&f, server_stats(f.server)->conns == 2);
        (void)close(second);
        (void)close(third);
        fixture_close(&f);
    }
}

static void test_no_descriptors_left(void **state)
{
    (void)state;
    struct server_options options = server_options_default;
    options.accept_backoff_ms = 10;
    struct fixture f;
    fixture_open(&f, &options);
    f.reply_on_end = true;
    int fd = fixture_dial(&f); /* waits in the backlog */
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)fd + 1; /* every descriptor below is taken */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    UNTIL(&f, server_stats(f.server)->accept_failures >= 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    struct heard heard = {0};
    say(fd, GET("/"));
    fixture_hear(&f, fd, &heard, "ok");
    (void)close(fd);
    fixture_close(&f);
}

static void test_drain(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    int busy = fixture_dial(&f), idle = fixture_dial(&f);
    say(busy, GET("/busy"));
    UNTIL(&f, f.ends == 1 && server_stats(f.server)->conns == 2);
    server_drain(f.server);
    struct heard heard = {0};
    fixture_hear_close(&f, idle, &heard);
    assert_int_equal(f.dones, 0);
    fixture_reply(&f, f.conn);
    fixture_hear_close(&f, busy, &heard);
    assert_non_null(strstr(heard.text, "Connection: close\r\n"));
    assert_int_equal(server_stats(f.server)->conns, 0);
    (void)close(busy);
    (void)close(idle);
    fixture_close(&f);
}

static void test_unix_socket(void **state)
{
    (void)state;
    static struct fixture f, other;
    char path[64], address[80];
    (void)snprintf(path, sizeof path, "/tmp/shunt-test-%ld.sock", (long)getpid());
    (void)snprintf(address, sizeof address, "unix:%s", path);
    fixture_open(&f, NULL);
    assert_int_equal(server_listen(f.server, address), 0);
    fixture_open(&other, NULL);
    assert_int_equal(server_listen(other.server, address), -EADDRINUSE);
    fixture_close(&other);
    assert_int_equal(access(path, F_OK), 0);
    fixture_close(&f);
    assert_int_equal(access(path, F_OK), -1);
    fixture_open(&f, NULL);
    assert_int_equal(server_listen(f.server, "unix:"), -EINVAL);
    assert_int_equal(server_listen(f.server, "127.0.0.1"), -EINVAL);
    assert_int_equal(server_listen(f.server, "127.0.0.1:x"), -EINVAL);
    assert_int_equal(server_listen(f.server, "example.invalid:80"), -EINVAL);
    fixture_close(&f);
}

/* What a queued connection costs in this process. */
static void test_a_queued_connection_is_small(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, NULL);
    enum { CONNS = 200, CONN_MAX_BYTES = 4096 };
    int fds[CONNS];
    const size_t before = mallinfo2().uordblks;
    for (unsigned i = 0; i < CONNS; i++) {
        fds[i] = fixture_dial(&f);
        say(fds[i], GET("/q"));
        UNTIL(&f, f.ends == i + 1);
    }
    assert_int_equal(server_stats(f.server)->conns, CONNS);
    assert_int_equal(server_stats(f.server)->out_bytes, 0);
    /* 0 under a sanitizer, whose allocator does not count so. */
    const size_t each = (mallinfo2().uordblks - before) / CONNS;
    if (each > CONN_MAX_BYTES) {
        fail_msg("%zu bytes for a queued connection", each);
    }
    for (unsigned i = 0; i < CONNS; i++) {
        (void)close(fds[i]);
    }
    UNTIL(&f, f.dones == CONNS);
    fixture_close(&f);
}

/* A sender that never pauses does not keep the loop from others. */
static void test_a_fast_sender_leaves_room_for_others(void **state)
{
    (void)state;
    struct server_options options = server_options_default;
    options.http.body_max_bytes = UINT64_MAX;
    struct fixture f;
    fixture_open(&f, &options);
    int fast = fixture_dial(&f), other = fixture_dial(&f);
    say(fast, "POST /fast HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n");
    UNTIL(&f, f.conn);
    static char block[1 << 20];
    while (send(fast, block, sizeof block, MSG_NOSIGNAL) > 0) {
    }
    f.reply_on_end = true;
    say(other, GET("/other"));
    struct heard heard = {0};
    while (hear(&heard, other), !strstr(heard.text, "ok")) {
        (void)send(fast, block, sizeof block, MSG_NOSIGNAL);
        assert_int_equal(loop_run_once(f.loop, false), 0);
    }
    (void)close(fast);
    (void)close(other);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_and_answer),
        cmocka_unit_test(test_slow_bytes),
        cmocka_unit_test(test_pipelined_requests_are_served_in_turn),
        cmocka_unit_test(test_many_pipelined_requests_answered_at_once),
        cmocka_unit_test(test_a_client_that_leaves_while_queued_is_noticed),
        cmocka_unit_test(test_half_close_is_allowed_if_set),
        cmocka_unit_test(test_an_answer_at_once_survives_a_half_close),
        cmocka_unit_test(test_a_body_that_is_cut),
        cmocka_unit_test(test_garbage_is_answered_and_closed),
        cmocka_unit_test(test_early_answer_while_the_body_comes),
        cmocka_unit_test(test_slow_reader_is_buffered_and_drained),
        cmocka_unit_test(test_a_reader_that_stalls_is_dropped),
        cmocka_unit_test(test_heads_and_bodies_that_come_too_slowly),
        cmocka_unit_test(test_idle_connections_are_closed),
        cmocka_unit_test(test_pause_and_resume),
        cmocka_unit_test(test_pause_at_the_last_byte),
        cmocka_unit_test(test_head_and_old_clients),
        cmocka_unit_test(test_a_short_answer_closes),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_connection_limits),
        cmocka_unit_test(test_no_descriptors_left),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_a_queued_connection_is_small),
        cmocka_unit_test(test_a_fast_sender_leaves_room_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
