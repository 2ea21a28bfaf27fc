/*
 * The codec, rule by rule. Every case is read whole, byte by byte and cut once at every place, and
 * must say the same each time.
 */
#include "http_log.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct rule {
    const char *name;
    const char *input;
    const char *expected; /* what the log begins with, or all of it if it ends in a line end */
};

static void check_text(const char *name, const struct http_log *log, const char *expected,
                       const char *how)
{
    size_t len = strlen(expected);
    bool exact = len && expected[len - 1] == '\n';
    if (strncmp(log->text, expected, len) != 0 || (exact && log->len != len)) {
        fail_msg("%s (%s):\n--- expected\n%s\n--- got\n%s", name, how, expected, log->text);
    }
}

static void check(const struct rule *rule, enum http_side side, const struct http_limits *limits,
                  struct span input, bool close)
{
    struct http_log log = http_log_read(side, limits, input, 0, close);
    check_text(rule->name, &log, rule->expected, "whole");
    struct http_log bytes = http_log_read(side, limits, input, 1, close);
    check_text(rule->name, &bytes, rule->expected, "byte by byte");
    free(bytes.text);
    for (size_t cut = 2; cut < input.len && cut < 400; cut++) {
        struct http_log parts = http_log_read(side, limits, input, cut, close);
        assert_string_equal(parts.text, log.text);
        free(parts.text);
    }
    free(log.text);
}

#define GET     "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST    "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define POSTED  "H 1.1 alive chunked 0 POST / +Host=a -Transfer-Encoding=chunked\n"

static const struct rule request_rules[] = {
    {"a request", GET "\r\n", "H 1.1 alive none 0 GET / +Host=a\nE\n"},
    {"query and path", "GET /a/b?c=d HTTP/1.1\r\nHost: a\r\n\r\n",
     "H 1.1 alive none 0 GET /a/b?c=d +Host=a\nE\n"},
    {"pipelined", GET "\r\n" GET "\r\n",
     "H 1.1 alive none 0 GET / +Host=a\nE\nH 1.1 alive none 0 GET / +Host=a\nE\n"},
    {"body of a length", POST "Content-Length: 5\r\n\r\nhello",
     "H 1.1 alive length 5 POST / +Host=a +Content-Length=5\nB hello\nE\n"},
    {"length zero", POST "Content-Length: 0\r\n\r\n",
     "H 1.1 alive none 0 POST / +Host=a +Content-Length=0\nE\n"},
    {"body cut", POST "Content-Length: 5\r\n\r\nhel",
     "H 1.1 alive length 5 POST / +Host=a +Content-Length=5\nB hel\n! 400 body was cut\n"},
    {"head cut", "GET / HTTP/1.1\r\nHos", "! 400 head was cut\n"},
    {"nothing", "", ""},
    {"value trimmed", "GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n",
     "H 1.1 alive none 0 GET / +Host=a\nE\n"},
    {"empty value", GET "X:\r\n\r\n", "H 1.1 alive none 0 GET / +Host=a +X=\nE\n"},
    {"one empty line before", "\r\n" GET "\r\n", "H 1.1 alive none 0 GET / +Host=a\nE\n"},
    {"two empty lines before", "\r\n\r\n" GET "\r\n", "! 400 "},
    {"1.0 closes", "GET / HTTP/1.0\r\n\r\n", "H 1.0 close none 0 GET /\nE\n"},
    {"1.0 keeps alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "H 1.0 alive none 0 GET / -Connection=keep-alive\nE\n"},
    {"1.1 closes", GET "Connection: close\r\n\r\n",
     "H 1.1 close none 0 GET / +Host=a -Connection=close\nE\n"},
    {"close wins", GET "Connection: keep-alive, close\r\n\r\n", "H 1.1 close"},
    {"close in a second field", GET "Connection: x\r\nConnection: Close\r\n\r\n", "H 1.1 close"},
    {"named in Connection", GET "X-A: 1\r\nConnection: x-a , y\r\nY: 2\r\n\r\n",
     "H 1.1 alive none 0 GET / +Host=a -X-A=1 -Connection=x-a , y -Y=2\nE\n"},
    {"Connection not a token", GET "Connection: a b\r\n\r\n", "! 400 "},
    {"hop by hop", GET "TE: x\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\n\r\n",
     "H 1.1 alive none 0 GET / +Host=a -TE=x -Keep-Alive=5 -Upgrade=h2c "
     "-Proxy-Authorization=x\nE\n"},
    {"unknown method", "PURGE / HTTP/1.1\r\nHost: a\r\n\r\n",
     "H 1.1 alive none 0 PURGE / +Host=a\nE\n"},
    {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
     "H 1.1 alive none 0 OPTIONS * +Host=a\nE\n"},
    {"text above ASCII in a value", GET "X: \xc3\xa9\r\n\r\n", "H 1.1 alive"},

    {"LF alone ends a line", "GET / HTTP/1.1\nHost: a\n\n", "! 400 line does not end in CRLF\n"},
    {"LF alone in fields", GET "X: y\nZ: z\r\n\r\n", "! 400 line does not end in CRLF\n"},
    {"CR alone in a value", GET "X: y\rz\r\n\r\n", "! 400 "},
    {"CR in front of a field", GET "\rX: y\r\n\r\n", "! 400 "},
    {"CR CR LF", GET "X: y\r\r\n\r\n", "! 400 "},
    {"space before the colon", GET "X : y\r\n\r\n", "! 400 "},
    {"folded line", GET "X: y\r\n z\r\n\r\n", "! 400 "},
    {"folded by tab", GET "X: y\r\n\tz\r\n\r\n", "! 400 "},
    {"field without a colon", GET "X\r\n\r\n", "! 400 "},
    {"empty name", GET ": y\r\n\r\n", "! 400 "},
    {"name that is no token", GET "X(: y\r\n\r\n", "! 400 "},
    {"control byte in a value", GET "X: a\x01z\r\n\r\n", "! 400 "},
    {"DEL in a value", GET "X: a\x7fz\r\n\r\n", "! 400 "},
    {"method that is no token", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", "! 400 "},
    {"method of another case is another method", "get / HTTP/1.1\r\nHost: a\r\n\r\n",
     "H 1.1 alive none 0 get /"},
    {"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "! 501 "},
    {"a very long method", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\nHost: a\r\n\r\n",
     "! 501 "},
    {"absolute form", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "! 400 "},
    {"star without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "! 400 "},
    {"no target", "GET  HTTP/1.1\r\nHost: a\r\n\r\n", "! 400 "},
    {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "! 400 "},
    {"tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "! 400 "},
    {"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "! 400 "},
    {"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "! 400 "},
    {"target above ASCII", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", "! 400 "},
    {"no version", "GET /\r\nHost: a\r\n\r\n", "! 400 "},
    {"space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "! 400 "},
    {"HTTP/1.9", "GET / HTTP/1.9\r\nHost: a\r\n\r\n", "! 505 "},
    {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "! 505 "},
    {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", "! 400 "},
    {"http/1.1", "GET / http/1.1\r\nHost: a\r\n\r\n", "! 400 "},
    {"no Host", "GET / HTTP/1.1\r\n\r\n", "! 400 exactly one Host is required\n"},
    {"two Hosts", GET "Host: a\r\n\r\n", "! 400 exactly one Host is required\n"},
    {"two Hosts on 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "! 400 "},
    {"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "! 400 malformed Host\n"},
    {"Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "! 400 malformed Host\n"},
    {"TLS hello", "\x16\x03\x01\x02", "! 400 not HTTP\n"},

    {"two lengths", POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "! 400 "},
    {"a list of lengths", POST "Content-Length: 1, 1\r\n\r\nx", "! 400 "},
    {"signed length", POST "Content-Length: +5\r\n\r\nhello", "! 400 "},
    {"negative length", POST "Content-Length: -5\r\n\r\nhello", "! 400 "},
    {"empty length", POST "Content-Length:\r\n\r\nhello", "! 400 "},
    {"hexadecimal length", POST "Content-Length: 0x5\r\n\r\nhello", "! 400 "},
    {"length of 20 digits", POST "Content-Length: 00000000000000000005\r\n\r\nhello", "! 400 "},
    {"length of 19 digits", POST "Content-Length: 0000000000000000005\r\n\r\nhello",
     "H 1.1 alive length 5"},
    {"largest length", POST "Content-Length: 9999999999999999999\r\n\r\n", "! 413 "},
    {"length above the limit", POST "Content-Length: 33554433\r\n\r\n", "! 413 "},
    {"length at the limit", POST "Content-Length: 33554432\r\n\r\n", "H 1.1 alive length 33554432"},
    {"chunked and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
     "! 400 "},
    {"length and chunked", POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
     "! 400 "},
    {"xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n", "! 400 "},
    {"gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", "! 400 "},
    {"identity", POST "Transfer-Encoding: identity\r\n\r\n", "! 400 "},
    {"empty encoding", POST "Transfer-Encoding:\r\n\r\n", "! 400 "},
    {"chunked twice", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     "! 400 "},
    {"chunked on 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "! 400 "},
    {"Chunked in another case", POST "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", "H 1.1 alive"},
    {"expectation unknown", POST "Expect: x\r\nContent-Length: 5\r\n\r\n", "! 417 "},

    {"chunks", CHUNKED "5\r\nhello\r\n00a\r\n, you all!\r\n0\r\n\r\n",
     POSTED "B hello, you all!\nE\n"},
    {"no chunks", CHUNKED "0\r\n\r\n", POSTED "E\n"},
    {"chunk extensions", CHUNKED "1;a=b;c=\"d e\"\r\nx\r\n0;y\r\n\r\n", POSTED "B x\nE\n"},
    {"trailers are dropped", CHUNKED "1\r\nx\r\n0\r\nA: b\r\nC:d\r\n\r\n" GET "\r\n",
     POSTED "B x\nE\nH 1.1 alive none 0 GET / +Host=a\nE\n"},
    {"15 digits", CHUNKED "000000000000001\r\nx\r\n0\r\n\r\n", POSTED "B x\nE\n"},
    {"16 digits", CHUNKED "0000000000000001\r\nx\r\n0\r\n\r\n", POSTED "! 400 "},
    {"chunk size 0x5", CHUNKED "0x5\r\nhello\r\n", POSTED "! 400 "},
    {"chunk size +5", CHUNKED "+5\r\nhello\r\n", POSTED "! 400 "},
    {"chunk size -5", CHUNKED "-5\r\nhello\r\n", POSTED "! 400 "},
    {"space before a chunk size", CHUNKED " 5\r\nhello\r\n", POSTED "! 400 "},
    {"space behind a chunk size", CHUNKED "5 \r\nhello\r\n", POSTED "! 400 "},
    {"no chunk size", CHUNKED "\r\nhello\r\n", POSTED "! 400 "},
    {"LF behind a chunk size", CHUNKED "5\nhello\r\n", POSTED "! 400 "},
    {"LF in an extension", CHUNKED "5;a\nhello\r\n", POSTED "! 400 "},
    {"CR alone behind a chunk size", CHUNKED "5\rhello\r\n", POSTED "! 400 "},
    {"LF behind a chunk", CHUNKED "5\r\nhello\n", POSTED "B hello\n! 400 "},
    {"chunk longer than said", CHUNKED "5\r\nhello!\r\n", POSTED "B hello\n! 400 "},
    {"LF ends the trailers", CHUNKED "0\r\n\n", POSTED "! 400 "},
    {"trailer without a name", CHUNKED "0\r\n: x\r\n\r\n", POSTED "! 400 "},
    {"trailer without a colon", CHUNKED "0\r\nx\r\n\r\n", POSTED "! 400 "},
    {"folded trailer", CHUNKED "0\r\nA: b\r\n c\r\n\r\n", POSTED "! 400 "},
    {"control byte in a trailer", CHUNKED "0\r\nA: b\x02\r\n\r\n", POSTED "! 400 "},
    {"chunk above the body's limit", CHUNKED "2000001\r\n", POSTED "! 413 "},
    {"chunks cut", CHUNKED "5\r\nhel", POSTED "B hel\n! 400 body was cut\n"},
    {"last chunk cut", CHUNKED "0\r\n", POSTED "! 400 body was cut\n"},
};

static void test_request_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof request_rules / sizeof request_rules[0]; i++) {
        check(&request_rules[i], HTTP_SIDE_REQUEST, &http_limits_default,
              span_of_string(request_rules[i].input), true);
    }
}

static void test_nul_is_refused_everywhere(void **state)
{
    (void)state;
    const struct span inputs[] = {
        SPAN_LITERAL("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
        SPAN_LITERAL("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n"),
        SPAN_LITERAL("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        SPAN_LITERAL("GET / HTTP/1.1\0\r\nHost: a\r\n\r\n"),
        SPAN_LITERAL("G\0T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        SPAN_LITERAL("\0"),
    };
    const struct rule rule = {.name = "NUL", .expected = "! 400 "};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        check(&rule, HTTP_SIDE_REQUEST, &http_limits_default, inputs[i], true);
    }
}

#define OK "HTTP/1.1 200 OK\r\n"

static const struct rule response_rules[] = {
    {"of a length", OK "Content-Length: 2\r\n\r\nhi",
     "H 1.1 alive length 2 200 +Content-Length=2\nB hi\nE\n"},
    {"empty", OK "Content-Length: 0\r\n\r\n", "H 1.1 alive none 0 200 +Content-Length=0\nE\n"},
    {"until close", OK "\r\nhi there", "H 1.1 close until-close 0 200\nB hi there\nE\n"},
    {"chunked", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
     "H 1.1 alive chunked 0 200 -Transfer-Encoding=chunked\nB hi\nE\n"},
    {"204", "HTTP/1.1 204 No Content\r\n\r\n", "H 1.1 alive none 0 204\nE\n"},
    {"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
     "H 1.1 alive none 9 304 +Content-Length=9\nE\n"},
    {"no reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "H 1.1 alive none 0 200"},
    {"no space behind the status", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
     "H 1.1 alive none 0 200"},
    {"100 and 103 first",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK
     "Content-Length: 1\r\n\r\nx",
     "I 1.1 alive none 0 100\nI 1.1 alive none 0 103 +Link=x\nH 1.1 alive length 1 200 "
     "+Content-Length=1\nB x\nE\n"},
    {"only an interim", "HTTP/1.1 100 Continue\r\n\r\n",
     "I 1.1 alive none 0 100\n! 502 head was cut\n"},
    {"101", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "! 502 "},
    {"1.0 closes", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "H 1.0 close length 1 200"},
    {"body cut", OK "Content-Length: 3\r\n\r\nhi",
     "H 1.1 alive length 3 200 +Content-Length=3\nB hi\n! 502 body was cut\n"},
    {"two lengths", OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", "! 502 "},
    {"length and chunked", OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "! 502 "},
    {"LF alone", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "! 502 "},
    {"two digits", "HTTP/1.1 20 OK\r\n\r\n", "! 502 "},
    {"four digits", "HTTP/1.1 2000 OK\r\n\r\n", "! 502 "},
    {"status 600", "HTTP/1.1 600 OK\r\n\r\n", "! 502 "},
    {"HTTP/2", "HTTP/2 200 OK\r\n\r\n", "! 502 "},
    {"not HTTP", "SSH-2.0-x\r\n\r\n", "! 502 "},
    {"CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n", "! 502 "},
};

static void test_response_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof response_rules / sizeof response_rules[0]; i++) {
        check(&response_rules[i], HTTP_SIDE_RESPONSE, &http_limits_upstream,
              span_of_string(response_rules[i].input), true);
    }
    const struct rule to_head = {.name = "answer to HEAD",
                                 .expected = "H 1.1 alive none 5 200 +Content-Length=5\nE\n"};
    check(&to_head, HTTP_SIDE_RESPONSE_TO_HEAD, &http_limits_upstream,
          SPAN_LITERAL(OK "Content-Length: 5\r\n\r\n"), true);
}

/* A text of a pattern repeated, with something in front and behind. */
static struct span repeated(const char *front, const char *unit, size_t count, const char *back)
{
    size_t unit_len = strlen(unit);
    size_t len = strlen(front) + unit_len * count + strlen(back);
    char *text = malloc(len + 1), *at = text;
    assert_non_null(text);
    memcpy(at, front, strlen(front));
    at += strlen(front);
    for (size_t i = 0; i < count; i++, at += unit_len) {
        memcpy(at, unit, unit_len);
    }
    memcpy(at, back, strlen(back) + 1);
    return span_of(text, len);
}

static void check_limit(const char *expected, struct span text)
{
    for (size_t piece = 0; piece < 4000; piece += 1999) {
        struct http_log log =
            http_log_read(HTTP_SIDE_REQUEST, &http_limits_default, text, piece, false);
        check_text("limit", &log, expected, "limit");
        free(log.text);
    }
    free((void *)(uintptr_t)text.data);
}

static void test_limits_hold_at_max_and_not_above(void **state)
{
    (void)state;
    const struct http_limits *limits = &http_limits_default;
    const char *rest = " HTTP/1.1\r\nHost: a\r\n\r\n";
    check_limit("H 1.1", repeated("GET /", "a", limits->target_max_bytes - 1, rest));
    check_limit("! 414 ", repeated("GET /", "a", limits->target_max_bytes, rest));
    check_limit("! 414 ", repeated("GET /", "a", limits->target_max_bytes + 64, ""));
    check_limit("H 1.1", repeated(GET, "X: y\r\n", limits->fields_max - 1, "\r\n"));
    check_limit("! 431 ", repeated(GET, "X: y\r\n", limits->fields_max, "\r\n"));
    size_t room = limits->head_max_bytes - strlen(GET "X: \r\n\r\n");
    check_limit("H 1.1", repeated(GET "X: ", "a", room, "\r\n\r\n"));
    check_limit("! 431 ", repeated(GET "X: ", "a", room + 1, "\r\n\r\n"));
    check_limit("! 431 ", repeated(GET "X: ", "a", room * 2, ""));
    check_limit(POSTED "B x",
                repeated(CHUNKED "1;", "e", limits->chunk_ext_max_bytes - 1, "\r\nx\r\n"));
    check_limit(POSTED "! 400 ",
                repeated(CHUNKED "1;", "e", limits->chunk_ext_max_bytes, "\r\nx\r\n"));
    check_limit(POSTED "E\n",
                repeated(CHUNKED "0\r\nA: ", "e", limits->trailer_max_bytes - 5, "\r\n\r\n"));
    check_limit(POSTED "! 400 ",
                repeated(CHUNKED "0\r\nA: ", "e", limits->trailer_max_bytes, "\r\n\r\n"));
    check_limit("H 1.1", repeated(GET "Connection: a", ",a", 31, "\r\n\r\n"));
    check_limit("! 400 ", repeated(GET "Connection: a", ",a", 32, "\r\n\r\n"));
}

static void test_chunks_add_up_to_the_body_limit(void **state)
{
    (void)state;
    struct http_limits limits = http_limits_default;
    limits.body_max_bytes = 4;
    struct http_log log =
        http_log_read(HTTP_SIDE_REQUEST, &limits,
                      SPAN_LITERAL(CHUNKED "2\r\nab\r\n2\r\ncd\r\n1\r\ne\r\n"), 0, false);
    assert_string_equal(log.text, POSTED "B abcd\n! 413 body too large\n");
    free(log.text);
}

static void test_expect_continue_is_reported(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool expected;
    } cases[] = {
        {POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", true},
        {POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", false},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false},
        {POST "Content-Length: 1\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct http_reader reader;
        struct http_head head;
        struct span in = span_of_string(cases[i].text), body;
        http_reader_request(&reader, &http_limits_default);
        assert_int_equal(http_reader_next(&reader, &in, &head, &body), HTTP_HEADED);
        assert_int_equal(head.expect_continue, cases[i].expected);
    }
}

static void test_forwarding_strips_what_is_not_ours_to_pass_on(void **state)
{
    (void)state;
    struct http_reader reader;
    struct http_head head;
    struct span body;
    struct span in =
        SPAN_LITERAL(POST "Connection: x-secret, close\r\nX-Secret: 1\r\nTE: gzip\r\n"
                          "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
                          "Expect: 100-continue\r\nAuthorization: key\r\nA: b\r\n\r\n");
    http_reader_request(&reader, &http_limits_default);
    assert_int_equal(http_reader_next(&reader, &in, &head, &body), HTTP_HEADED);
    char text[512];
    struct http_out out = http_out_of(text, sizeof text);
    const struct span skip = SPAN_LITERAL("authorization");
    http_out_forward(&out, &head, &skip, 1);
    assert_false(out.failed);
    assert_int_equal(out.len, strlen("Content-Type: text/plain\r\nA: b\r\n"));
    assert_memory_equal(text, "Content-Type: text/plain\r\nA: b\r\n", out.len);
}

static void test_writers_refuse_what_would_split_a_head(void **state)
{
    (void)state;
    const struct {
        struct span name, value;
    } bad[] = {
        {SPAN_LITERAL("A"), SPAN_LITERAL("x\r\nB: y")}, {SPAN_LITERAL("A"), SPAN_LITERAL("x\0y")},
        {SPAN_LITERAL("A"), SPAN_LITERAL("x\n")},       {SPAN_LITERAL("A B"), SPAN_LITERAL("x")},
        {SPAN_LITERAL(""), SPAN_LITERAL("x")},          {SPAN_LITERAL("A:"), SPAN_LITERAL("x")},
    };
    char text[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct http_out out = http_out_of(text, sizeof text);
        http_out_field(&out, bad[i].name, bad[i].value);
        assert_true(out.failed);
    }
    struct http_out out = http_out_of(text, sizeof text);
    http_out_request_line(&out, SPAN_LITERAL("GET"), SPAN_LITERAL("/a b"));
    assert_true(out.failed);
    out = http_out_of(text, 20);
    http_out_request_line(&out, SPAN_LITERAL("GET"), SPAN_LITERAL("/abcdefghi"));
    assert_true(out.failed);
}

/* What the writers write, the reader reads as it was meant. */
static void test_written_heads_read_back(void **state)
{
    (void)state;
    char text[512];
    struct http_out out = http_out_of(text, sizeof text);
    http_out_request_line(&out, SPAN_LITERAL("POST"), SPAN_LITERAL("/v1/x?y=z"));
    http_out_field(&out, SPAN_LITERAL("Host"), SPAN_LITERAL("engine:8000"));
    http_out_content_length(&out, 18446744073709551615u);
    http_out_end(&out);
    assert_false(out.failed);
    struct http_log log =
        http_log_read(HTTP_SIDE_REQUEST, &http_limits_default, http_out_span(&out), 0, false);
    assert_string_equal(log.text, "! 400 malformed Content-Length\n");
    free(log.text);

    out.len = 0;
    http_out_status_line(&out, 503);
    http_out_field_uint(&out, SPAN_LITERAL("Retry-After"), 12);
    http_out_chunked(&out);
    http_out_end(&out);
    char head[HTTP_CHUNK_HEAD_MAX];
    http_out_bytes(&out, span_of(head, http_chunk_head(head, 17)));
    http_out_bytes(&out, SPAN_LITERAL("seventeen bytes.."));
    http_out_bytes(&out, HTTP_CHUNK_TAIL);
    http_out_bytes(&out, HTTP_CHUNK_LAST);
    log = http_log_read(HTTP_SIDE_RESPONSE, &http_limits_upstream, http_out_span(&out), 0, false);
    assert_string_equal(log.text, "H 1.1 alive chunked 0 503 +Retry-After=12 "
                                  "-Transfer-Encoding=chunked\nB seventeen bytes..\nE\n");
    free(log.text);
    assert_int_equal(http_chunk_head(head, SIZE_MAX), HTTP_CHUNK_HEAD_MAX);
}

static void test_dates_are_those_of_the_standard(void **state)
{
    (void)state;
    static const struct {
        int64_t unix_s;
        const char *text;
    } cases[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {951868799, "Tue, 29 Feb 2000 23:59:59 GMT"},
        {1735689599, "Tue, 31 Dec 2024 23:59:59 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[HTTP_DATE_LEN];
        http_date(text, cases[i].unix_s);
        assert_memory_equal(text, cases[i].text, HTTP_DATE_LEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_rules),
        cmocka_unit_test(test_nul_is_refused_everywhere),
        cmocka_unit_test(test_response_rules),
        cmocka_unit_test(test_limits_hold_at_max_and_not_above),
        cmocka_unit_test(test_chunks_add_up_to_the_body_limit),
        cmocka_unit_test(test_expect_continue_is_reported),
        cmocka_unit_test(test_forwarding_strips_what_is_not_ours_to_pass_on),
        cmocka_unit_test(test_writers_refuse_what_would_split_a_head),
        cmocka_unit_test(test_written_heads_read_back),
        cmocka_unit_test(test_dates_are_those_of_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
