/* The request reader: any bytes, cut anywhere, say the same, and what is forwarded is legal again.
 */
#include "../http_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The fields that would be passed on make a legal head of their own. */
static void check_forward(struct span text)
{
    static struct http_head head;
    static char copy[70000];
    struct http_reader reader;
    struct span body;
    http_reader_request(&reader, &http_limits_default);
    if (http_reader_next(&reader, &text, &head, &body) != HTTP_HEADED) {
        return;
    }
    struct http_out out = http_out_of(copy, sizeof copy);
    http_out_request_line(&out, head.method_text, head.target);
    http_out_field(&out, SPAN_LITERAL("Host"), SPAN_LITERAL("engine"));
    http_out_forward(&out, &head, NULL, 0);
    http_out_end(&out);
    assert(!out.failed);
    struct span again = http_out_span(&out);
    http_reader_request(&reader, &http_limits_default);
    enum http_event event = http_reader_next(&reader, &again, &head, &body);
    /* One field more than came may be one too many. */
    assert((event == HTTP_HEADED && head.framing == HTTP_BODY_NONE && again.len == 0) ||
           reader.status == 431);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* The first byte says how the rest is cut. */
    size_t piece = size ? data[0] % 64 + 1u : 1;
    struct span text = span_of((const char *)data + (size > 0), size - (size > 0));
    struct http_log whole = http_log_read(HTTP_SIDE_REQUEST, &http_limits_default, text, 0, true);
    struct http_log cut = http_log_read(HTTP_SIDE_REQUEST, &http_limits_default, text, piece, true);
    assert(whole.len == cut.len && memcmp(whole.text, cut.text, whole.len) == 0);
    free(whole.text);
    free(cut.text);
    check_forward(text);
    return 0;
}
