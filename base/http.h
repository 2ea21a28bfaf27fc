/*
 * Strict HTTP/1.1 codec: bytes in, events and spans out, and the writers of heads and chunks. One
 * code for both sides (requests read by the server, responses read from an engine), because two
 * readers that differ are how a request is smuggled. It does no I/O, reads no clock, allocates
 * nothing: it works in place on the caller's read buffer.
 *
 * Whatever is ambiguous is refused, never repaired: lines end in CRLF, no space before a colon, no
 * folded lines, no control bytes, one Host on 1.1, one Content-Length of digits, Transfer-Encoding
 * exactly one "chunked" and never beside a Content-Length or on 1.0, chunk sizes of at most 15
 * hexadecimal digits, targets in origin form. After an error the connection must be closed.
 *
 * Reading:
 *     http_reader_request(&reader, &limits);
 *     for each read:  struct span in = what is held plus what was read;
 *         while (in.len or the last event was not HTTP_MORE)
 *             switch (http_reader_next(&reader, &in, &head, &body)) ...
 */
#ifndef SHUNT_BASE_HTTP_H
#define SHUNT_BASE_HTTP_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_FIELDS_MAX = 128 }; /* room of struct http_head; limits.fields_max may be less */

/* Everything that the other side could make large. */
struct http_limits {
    uint32_t head_max_bytes;      /* start line and fields with their line ends */
    uint32_t target_max_bytes;    /* request target */
    uint32_t fields_max;          /* fields in a head; at most HTTP_FIELDS_MAX */
    uint32_t chunk_ext_max_bytes; /* chunk extension, of one chunk */
    uint32_t trailer_max_bytes;   /* all trailers of a message */
    uint64_t body_max_bytes;      /* decoded body; UINT64_MAX: no limit */
};

/* 64 KiB head, 8 KiB target, 100 fields, 1 KiB extension, 8 KiB trailers, 32 MiB body. */
extern const struct http_limits http_limits_default;
/* The same for responses of an engine: no limit on the body. */
extern const struct http_limits http_limits_upstream;

enum http_method {
    HTTP_METHOD_OTHER, /* a legal token that is none of these; http_head.method_text has it */
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
};

/* Fields that the codec or the host asks for by number; all others are HTTP_FIELD_OTHER. */
enum http_field_id {
    HTTP_FIELD_OTHER,
    HTTP_FIELD_HOST,
    HTTP_FIELD_CONNECTION,
    HTTP_FIELD_CONTENT_LENGTH,
    HTTP_FIELD_TRANSFER_ENCODING,
    HTTP_FIELD_EXPECT,
    HTTP_FIELD_KEEP_ALIVE,
    HTTP_FIELD_PROXY_CONNECTION,
    HTTP_FIELD_PROXY_AUTHENTICATE,
    HTTP_FIELD_PROXY_AUTHORIZATION,
    HTTP_FIELD_TE,
    HTTP_FIELD_TRAILER,
    HTTP_FIELD_UPGRADE,
    HTTP_FIELD_CONTENT_TYPE,
    HTTP_FIELD_AUTHORIZATION,
    HTTP_FIELD_DATE,
};

struct http_field {
    struct span name;  /* as received */
    struct span value; /* without the white space around it */
    enum http_field_id id;
    bool hop; /* belongs to this connection alone: a hop-by-hop field, or named in Connection */
};

enum http_framing {
    HTTP_BODY_NONE,    /* no body follows */
    HTTP_BODY_LENGTH,  /* content_length bytes follow */
    HTTP_BODY_CHUNKED, /* chunks follow */
    HTTP_BODY_CLOSE,   /* response only: all until the connection ends */
};

/*
 * A complete head. All spans point into the bytes given to the call that returned it and die with
 * them. About 6 KiB: keep one a thread, not one a connection.
 */
struct http_head {
    /* Request line. */
    enum http_method method;
    struct span method_text;
    struct span target; /* "/path?query", or "*" for OPTIONS */
    struct span path;   /* the target up to '?', not decoded */
    struct span query;  /* behind '?', empty without one */
    /* Status line. */
    unsigned status;
    struct span reason;
    /* Both. */
    unsigned minor;       /* 0 or 1: HTTP/1.minor */
    bool keep_alive;      /* the other side lets the connection live on after this message */
    bool expect_continue; /* request only: the client waits for 100 before it sends the body */
    enum http_framing framing;
    uint64_t content_length; /* with HTTP_BODY_LENGTH; for an answer to HEAD what it announced */
    bool has_content_length;
    unsigned fields_len;
    struct http_field fields[HTTP_FIELDS_MAX];
};

/* First field with this id or name (any case), NULL if there is none. */
const struct http_field *http_head_field(const struct http_head *head, enum http_field_id id);
const struct http_field *http_head_find(const struct http_head *head, struct span name);

enum http_event {
    HTTP_MORE,    /* nothing more to say about these bytes */
    HTTP_INTERIM, /* response only: a 1xx head was read; a further head follows */
    HTTP_HEADED,  /* the head is complete */
    HTTP_BODY,    /* a piece of decoded body */
    HTTP_END,     /* the message is complete; the reader is ready for the next one */
    HTTP_ERROR,   /* see http_reader.status and .reason; stays so */
};

/* State of one direction of one connection. The members are for http.c, but status and reason. */
struct http_reader {
    const struct http_limits *limits;
    uint64_t left_bytes;    /* of the body or of the current chunk */
    uint64_t body_bytes;    /* decoded so far */
    uint32_t scanned_bytes; /* of a partial head, already searched for its end */
    uint32_t line_bytes;    /* extension or trailers, so far */
    uint8_t phase;
    uint8_t digits;
    bool response;
    bool begun;        /* the first byte of a head has come */
    bool skipped_line; /* the one empty line allowed in front of a request */
    bool head_only;    /* response to HEAD */
    uint16_t
        status; /* after HTTP_ERROR: what a server answers (400, 413, 414, 417, 431, 501, 505) */
    const char *reason; /* after HTTP_ERROR: static text, one line, no full stop */
};

/* Starts reading requests. limits must outlive the reader. */
void http_reader_request(struct http_reader *reader, const struct http_limits *limits);

/* Starts reading one response; head_only says that it answers a HEAD request. */
void http_reader_response(struct http_reader *reader, const struct http_limits *limits,
                          bool head_only);

/*
 * Takes bytes from the front of *in until there is something to report. HTTP_HEADED and
 * HTTP_INTERIM fill *ret_head, HTTP_BODY fills *ret_body with a span into the same bytes; others
 * leave them alone. After HTTP_MORE, *in is empty but while a head is incomplete: then it holds the
 * bytes to be given again, with more behind them (their address may change, their content not).
 * HTTP_END is reported by a call of its own, also when *in is empty.
 */
enum http_event http_reader_next(struct http_reader *reader, struct span *in,
                                 struct http_head *ret_head, struct span *ret_body);

/*
 * The other side closed its direction. HTTP_END: the body was one that ends so. HTTP_MORE: nothing
 * had begun. HTTP_ERROR: the message was cut.
 */
enum http_event http_reader_close(struct http_reader *reader);

/* True if the next call reports HTTP_END without needing a byte: for a caller that stopped in
 * between. */
bool http_reader_ends(const struct http_reader *reader);

/* True between messages, before the first byte of the next head has been seen. */
bool http_reader_idle(const struct http_reader *reader);

/* --- Writing --- */

/*
 * A bounded buffer that text is appended to. Once something does not fit, or is not legal in a
 * head, failed is set, nothing more is appended and the content must not be used.
 */
struct http_out {
    char *data;
    size_t len;
    size_t size;
    bool failed;
};

static inline struct http_out http_out_of(char *data, size_t size)
{
    return (struct http_out){.data = data, .size = size};
}

static inline struct span http_out_span(const struct http_out *out)
{
    return span_of(out->data, out->len);
}

/* Appends raw bytes. */
void http_out_bytes(struct http_out *out, struct span bytes);

/*
 * Appends "name: value" CRLF. A name that is no token or a value with a control byte fails the
 * writer: nothing from outside can start a line of its own.
 */
void http_out_field(struct http_out *out, struct span name, struct span value);
void http_out_field_uint(struct http_out *out, struct span name, uint64_t value);

/* Appends "METHOD target HTTP/1.1" CRLF. The target must be free of spaces and control bytes. */
void http_out_request_line(struct http_out *out, struct span method, struct span target);

/* Appends "HTTP/1.1 status reason" CRLF; status 100 to 599. */
void http_out_status_line(struct http_out *out, unsigned status);

/* "Content-Length: n" CRLF, "Transfer-Encoding: chunked" CRLF; framing is always our own. */
void http_out_content_length(struct http_out *out, uint64_t length);
void http_out_chunked(struct http_out *out);

/* The CRLF that ends a head. */
void http_out_end(struct http_out *out);

/*
 * Appends the fields of a received head that may be passed on: without hop-by-hop fields, those
 * named in Connection, Host, Content-Length, Transfer-Encoding and Expect, and without the names
 * (any case) in skip.
 */
void http_out_forward(struct http_out *out, const struct http_head *head, const struct span *skip,
                      size_t skip_len);

/* Longest text of http_chunk_head(). */
enum { HTTP_CHUNK_HEAD_MAX = 18 };

/* Writes the line in front of a chunk of len bytes (len > 0); returns its length. */
size_t http_chunk_head(char text[HTTP_CHUNK_HEAD_MAX], size_t len);

/* What follows each chunk, and what ends the body. */
#define HTTP_CHUNK_TAIL SPAN_LITERAL("\r\n")
#define HTTP_CHUNK_LAST SPAN_LITERAL("0\r\n\r\n")

/* Reason phrase of a status ("Unknown" for one without). */
const char *http_status_text(unsigned status);

/* True for 1xx, 204, 304: such an answer has no body whatever its fields say. */
bool http_status_bodiless(unsigned status);

/* "GET" ... for a known method, "" for HTTP_METHOD_OTHER. */
struct span http_method_text(enum http_method method);

/* Any byte that a token may hold, and whole-token check (not empty). */
bool http_is_token(struct span text);

/*
 * IMF-fixdate of a time in seconds since 1970 ("Sun, 06 Nov 1994 08:49:37 GMT"), 29 bytes, no NUL;
 * for years 1970 to 9999.
 */
enum { HTTP_DATE_LEN = 29 };
void http_date(char text[HTTP_DATE_LEN], int64_t unix_s);

#endif
