/*
 * Any bytes as a segment: no crash, progress on every item, places inside the file. An odd first
 * byte has the header made valid, so that the records behind it are reached.
 */
#include "base/journal.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * After the first byte each record is given as one byte of length, one of type and the payload; a
 * length with its top bit set means raw bytes instead, which are damage.
 */
static size_t build(uint8_t *out, const uint8_t *data, size_t size)
{
    struct journal_header header = {.segment = 7, .build = "fuzz"};
    journal_header_encode(&header, out);
    size_t at = JOURNAL_HEADER_BYTES;
    while (size >= 2) {
        size_t len = data[0] & 0x7f;
        len = len > size - 2 ? size - 2 : len;
        if (data[0] & 0x80) {
            memcpy(out + at, data + 2, len);
            at += len;
        } else if (at % 8 == 0) {
            struct journal_record record = {
                .type = data[1], .payload = data + 2, .len = (uint32_t)len};
            journal_record_encode(&record, 7, at, out + at);
            at += journal_record_bytes((uint32_t)len);
        }
        data += 2 + len;
        size -= 2 + len;
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536) {
        return 0;
    }
    uint8_t *copy = malloc(JOURNAL_HEADER_BYTES + size * 24);
    assert(copy);
    size_t len = size - 1;
    if (data[0] & 1) {
        len = build(copy, data + 1, size - 1);
    } else {
        memcpy(copy, data + 1, len);
    }
    struct journal_scan scan;
    struct journal_item item;
    journal_scan_init(&scan, copy, len, 0);
    size_t items = 0;
    uint64_t last = 0;
    while (journal_scan_next(&scan, &item) == 1) {
        assert(item.offset >= last && item.offset <= len);
        assert(!journal_item_is_gap(item.kind) || item.text[0] != '\0');
        last = item.offset;
        items++;
        assert(items <= 2 * len / 8 + 4);
    }
    free(copy);
    return 0;
}
