/* Speed of the span scanner on the kinds of bodies that a chat server gets. Prints MB/s of each. */
#include "base/json_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BODY_MAX_BYTES = 3 << 20, MEASURE_MS = 300 };

struct body {
    char *data;
    size_t len;
};

static void add(struct body *body, const char *text)
{
    size_t len = strlen(text);
    if (len <= BODY_MAX_BYTES - body->len) {
        memcpy(body->data + body->len, text, len);
        body->len += len;
    }
}

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int measure(const char *name, const struct body *body)
{
    struct json_request request;
    struct json_scan_error err;
    const char *field;
    unsigned rounds = 0;
    double began_s = now_s(), took_s;
    do {
        for (int i = 0; i < 8; i++, rounds++) {
            int rc = json_scan_request(span_of(body->data, body->len), &request, &err, &field);
            if (rc) {
                (void)fprintf(stderr, "json_scan: %s: %s at byte %zu\n", name, err.reason,
                              err.offset_bytes);
                return 1;
            }
        }
        took_s = now_s() - began_s;
    } while (took_s * 1000 < MEASURE_MS);
    (void)printf("%-34s %9zu bytes %8.0f MB/s %9.1f us\n", name, body->len,
                 (double)body->len * rounds / took_s / 1e6, took_s / rounds * 1e6);
    return 0;
}

/* A chat of `messages` messages, each with `repeat` times `text` in it. */
static int measure_chat(struct body *body, const char *name, unsigned messages, unsigned repeat,
                        const char *text)
{
    body->len = 0;
    add(body, "{\"model\":\"qwen-7b\",\"stream\":true,\"max_tokens\":512,\"messages\":[");
    for (unsigned i = 0; i < messages; i++) {
        add(body, i ? ",{\"role\":\"user\",\"content\":\"" : "{\"role\":\"user\",\"content\":\"");
        for (unsigned k = 0; k < repeat; k++) {
            add(body, text);
        }
        add(body, "\"}");
    }
    add(body, "]}");
    return measure(name, body);
}

int main(void)
{
    struct body body = {.data = malloc(BODY_MAX_BYTES)};
    if (!body.data) {
        return 1;
    }
    int failed =
        measure_chat(&body, "4.7 KB chat", 10, 10, "The quick brown fox jumps over it. ") ||
        measure_chat(&body, "500 messages, ASCII", 500, 60,
                     "The quick brown fox jumps over it. ") ||
        measure_chat(&body, "500 messages, umlauts", 500, 60,
                     "Der schnelle F\xc3\xbc"
                     "chsin, gr\xc3\xbc\xc3\x9f"
                     "e. ") ||
        measure_chat(&body, "500 messages, Chinese", 500, 60,
                     "\xe6\x95\x8f\xe6\x8d\xb7\xe7\x9a\x84\xe7\x8b\x90\xe7\x8b\xb8\xe8\xb7\xb3\xe8"
                     "\xbf\x87\xe4\xba\x86") ||
        measure_chat(&body, "one escaped message", 1, 30000,
                     "line \\\"of\\\" code\\n\\tnext \\u00e9 ") ||
        measure_chat(&body, "base64 image", 1, 30000,
                     "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk/A8A") ||
        measure_chat(&body, "27,000 tiny messages", 27000, 1, "a");
    free(body.data);
    return failed;
}
