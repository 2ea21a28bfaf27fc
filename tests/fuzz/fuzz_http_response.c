/* The response reader: any bytes, cut anywhere, say the same. */
#include "../http_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* The first byte says how the rest is cut, and whether it answers a HEAD. */
    size_t piece = size ? data[0] % 64 + 1u : 1;
    enum http_side side = size && data[0] >= 192 ? HTTP_SIDE_RESPONSE_TO_HEAD : HTTP_SIDE_RESPONSE;
    struct span text = span_of((const char *)data + (size > 0), size - (size > 0));
    struct http_log whole = http_log_read(side, &http_limits_upstream, text, 0, true);
    struct http_log cut = http_log_read(side, &http_limits_upstream, text, piece, true);
    assert(whole.len == cut.len && memcmp(whole.text, cut.text, whole.len) == 0);
    free(whole.text);
    free(cut.text);
    return 0;
}
