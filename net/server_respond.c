/* The answers of a server connection: head, body in either framing, end. */
#include "net/server_priv.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>

enum { FIELDS_MAX_BYTES = 60 * 1024, OWN_FIELDS_BYTES = 512 };

static struct iovec iov_of(struct span bytes)
{
    return (struct iovec){.iov_base = (char *)(uintptr_t)bytes.data, .iov_len = bytes.len};
}

/* A failed write ends the request, on the next turn: never under the feet of the writer. */
static int written(struct server_conn *conn, int rc)
{
    if (rc) {
        server_conn_later(conn);
        return -EPIPE;
    }
    if (conn->stream.out_bytes > conn->server->options.out_low_bytes) {
        conn->above_low = true;
    }
    if (conn->stream.out_bytes && conn->out_due_ns == INT64_MAX) {
        server_conn_later(conn); /* starts the stall's clock */
    }
    return 0;
}

/* Chooses the framing of the answer and writes its fields. */
static void out_framing(struct server_conn *conn, const struct server_response *response,
                        struct http_out *out)
{
    bool bodiless_status = http_status_bodiless(response->status);
    conn->bodiless = conn->head_only || bodiless_status;
    conn->announced = response->length >= 0;
    conn->left_bytes = conn->announced ? (uint64_t)response->length : 0;
    if (bodiless_status) {
        return;
    }
    if (conn->announced) {
        http_out_content_length(out, conn->left_bytes);
    } else if (!conn->old) {
        conn->chunked = !conn->head_only;
        http_out_chunked(out);
    } else {
        conn->close_after = true;
    }
}

int server_respond(struct server_conn *conn, const struct server_response *response)
{
    assert(response->status >= 200 && response->status <= 599);
    if (conn->state != SERVER_OPEN) {
        return -EPIPE;
    }
    assert(!conn->responded);
    if (response->fields.len > FIELDS_MAX_BYTES) {
        return -EMSGSIZE;
    }
    struct server *server = conn->server;
    if (response->close || server->draining) {
        conn->close_after = true;
    }
    char own[OWN_FIELDS_BYTES];
    struct http_out out = http_out_of(own, sizeof own);
    http_out_status_line(&out, response->status);
    if (!response->has_date) {
        http_out_field(&out, SPAN_LITERAL("Date"), loop_date(server->loop));
    }
    if (response->content_type) {
        http_out_field(&out, SPAN_LITERAL("Content-Type"), span_of_string(response->content_type));
    }
    out_framing(conn, response, &out);
    if (conn->close_after || !conn->keep_alive) {
        conn->close_after = true;
        http_out_field(&out, SPAN_LITERAL("Connection"), SPAN_LITERAL("close"));
    } else if (conn->old) {
        http_out_field(&out, SPAN_LITERAL("Connection"), SPAN_LITERAL("keep-alive"));
    }
    if (out.failed) {
        return -EMSGSIZE; /* a content type of the caller's that is no field value */
    }
    conn->responded = true;
    const struct iovec iov[3] = {iov_of(http_out_span(&out)), iov_of(response->fields),
                                 iov_of(SPAN_LITERAL("\r\n"))};
    return written(conn, stream_write(&conn->stream, iov, 3));
}

int server_write(struct server_conn *conn, struct span data)
{
    if (conn->state != SERVER_OPEN) {
        return -EPIPE;
    }
    assert(conn->responded && !conn->finished);
    if (data.len == 0 || conn->bodiless) {
        return 0;
    }
    if (!conn->chunked) {
        assert(!conn->announced || data.len <= conn->left_bytes);
        conn->left_bytes -= conn->announced ? data.len : 0;
        const struct iovec iov = iov_of(data);
        return written(conn, stream_write(&conn->stream, &iov, 1));
    }
    char head[HTTP_CHUNK_HEAD_MAX];
    const struct iovec iov[3] = {iov_of(span_of(head, http_chunk_head(head, data.len))),
                                 iov_of(data), iov_of(HTTP_CHUNK_TAIL)};
    return written(conn, stream_write(&conn->stream, iov, 3));
}

int server_write_buffer(struct server_conn *conn, struct evbuffer *data)
{
    if (conn->state != SERVER_OPEN) {
        return -EPIPE;
    }
    assert(conn->responded && !conn->finished);
    size_t len = evbuffer_get_length(data);
    if (len == 0 || conn->bodiless) {
        (void)evbuffer_drain(data, len);
        return 0;
    }
    if (!conn->chunked) {
        assert(!conn->announced || len <= conn->left_bytes);
        conn->left_bytes -= conn->announced ? len : 0;
        return written(
            conn, stream_write_buffer(&conn->stream, (struct span){0}, data, (struct span){0}));
    }
    char head[HTTP_CHUNK_HEAD_MAX];
    return written(conn,
                   stream_write_buffer(&conn->stream, span_of(head, http_chunk_head(head, len)),
                                       data, HTTP_CHUNK_TAIL));
}

int server_finish(struct server_conn *conn)
{
    if (conn->state != SERVER_OPEN) {
        return -EPIPE;
    }
    assert(conn->responded && !conn->finished);
    conn->finished = true;
    int rc = 0;
    if (conn->chunked) {
        const struct iovec iov = iov_of(HTTP_CHUNK_LAST);
        rc = written(conn, stream_write(&conn->stream, &iov, 1));
    } else if (conn->announced && conn->left_bytes && !conn->bodiless) {
        conn->close_after = true; /* shorter than announced: closing is how the client learns */
    }
    /* Inside a callback the cork holds the answer, and its emptying settles it. */
    if (rc == 0 && (stream_waiting(&conn->stream) == 0 || conn->stream.out_bytes)) {
        server_conn_later(conn);
    }
    return rc;
}

int server_reply(struct server_conn *conn, unsigned status, struct span fields,
                 const char *content_type, struct span body)
{
    const struct server_response response = {
        .status = status,
        .fields = fields,
        .content_type = content_type,
        .length = (int64_t)body.len,
    };
    int rc = server_respond(conn, &response);
    if (rc == 0) {
        rc = server_write(conn, body);
    }
    if (rc == 0) {
        rc = server_finish(conn);
    }
    return rc;
}

size_t server_pending_bytes(const struct server_conn *conn)
{
    return stream_waiting(&conn->stream);
}

bool server_responded(const struct server_conn *conn)
{
    return conn->responded;
}
