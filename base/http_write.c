/* Heads and chunk lines on their way out. Framing is always written here, never copied. */
#include "base/http_head.h"

#include <assert.h>

void http_out_bytes(struct http_out *out, struct span bytes)
{
    if (out->failed || bytes.len > out->size - out->len) {
        out->failed = true;
        return;
    }
    if (bytes.len) {
        memcpy(out->data + out->len, bytes.data, bytes.len);
        out->len += bytes.len;
    }
}

static bool all_of(struct span text, unsigned mask)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!http_char_is(text.data[i], mask)) {
            return false;
        }
    }
    return true;
}

/* The line of a field that is known to be legal. */
static void field_line(struct http_out *out, struct span name, struct span value)
{
    size_t len = name.len + value.len + 4;
    if (out->failed || len > out->size - out->len) {
        out->failed = true;
        return;
    }
    char *at = out->data + out->len;
    memcpy(at, name.data, name.len);
    at += name.len;
    *at++ = ':';
    *at++ = ' ';
    if (value.len) {
        memcpy(at, value.data, value.len);
        at += value.len;
    }
    *at++ = '\r';
    *at = '\n';
    out->len += len;
}

void http_out_field(struct http_out *out, struct span name, struct span value)
{
    if (!http_is_token(name) || !all_of(value, HTTP_CHAR_VALUE)) {
        out->failed = true;
        return;
    }
    field_line(out, name, value);
}

static struct span uint_text(uint64_t value, char text[20])
{
    size_t at = 20;
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return span_of(text + at, 20 - at);
}

void http_out_field_uint(struct http_out *out, struct span name, uint64_t value)
{
    char text[20];
    http_out_field(out, name, uint_text(value, text));
}

void http_out_request_line(struct http_out *out, struct span method, struct span target)
{
    if (!http_is_token(method) || target.len == 0 || !all_of(target, HTTP_CHAR_TARGET)) {
        out->failed = true;
        return;
    }
    http_out_bytes(out, method);
    http_out_bytes(out, SPAN_LITERAL(" "));
    http_out_bytes(out, target);
    http_out_bytes(out, SPAN_LITERAL(" HTTP/1.1\r\n"));
}

void http_out_status_line(struct http_out *out, unsigned status)
{
    assert(status >= 100 && status <= 599);
    if (status == 200) {
        http_out_bytes(out, SPAN_LITERAL("HTTP/1.1 200 OK\r\n"));
        return;
    }
    char text[20];
    http_out_bytes(out, SPAN_LITERAL("HTTP/1.1 "));
    http_out_bytes(out, uint_text(status, text));
    http_out_bytes(out, SPAN_LITERAL(" "));
    http_out_bytes(out, span_of_string(http_status_text(status)));
    http_out_bytes(out, SPAN_LITERAL("\r\n"));
}

void http_out_content_length(struct http_out *out, uint64_t length)
{
    char text[20];
    field_line(out, SPAN_LITERAL("Content-Length"), uint_text(length, text));
}

void http_out_chunked(struct http_out *out)
{
    http_out_bytes(out, SPAN_LITERAL("Transfer-Encoding: chunked\r\n"));
}

void http_out_end(struct http_out *out)
{
    http_out_bytes(out, SPAN_LITERAL("\r\n"));
}

static bool skipped(struct span name, const struct span *skip, size_t skip_len)
{
    for (size_t i = 0; i < skip_len; i++) {
        if (span_equal_nocase(name, skip[i])) {
            return true;
        }
    }
    return false;
}

void http_out_forward(struct http_out *out, const struct http_head *head, const struct span *skip,
                      size_t skip_len)
{
    for (unsigned i = 0; i < head->fields_len; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->hop || field->id == HTTP_FIELD_HOST || field->id == HTTP_FIELD_CONTENT_LENGTH ||
            field->id == HTTP_FIELD_EXPECT || skipped(field->name, skip, skip_len)) {
            continue;
        }
        field_line(out, field->name, field->value);
    }
}

size_t http_chunk_head(char text[HTTP_CHUNK_HEAD_MAX], size_t len)
{
    assert(len > 0);
    size_t digits = 0;
    for (size_t rest = len; rest; rest >>= 4) {
        digits++;
    }
    for (size_t i = digits; i-- > 0; len >>= 4) {
        text[i] = "0123456789abcdef"[len & 15];
    }
    text[digits] = '\r';
    text[digits + 1] = '\n';
    return digits + 2;
}

const char *http_status_text(unsigned status)
{
    static const struct {
        uint16_t status;
        const char *text;
    } table[] = {
        {100, "Continue"},
        {103, "Early Hints"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].status == status) {
            return table[i].text;
        }
    }
    return "Unknown";
}

bool http_status_bodiless(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

static void two_digits(char *at, unsigned value)
{
    at[0] = (char)('0' + value / 10 % 10);
    at[1] = (char)('0' + value % 10);
}

void http_date(char text[HTTP_DATE_LEN], int64_t unix_s)
{
    static const char days[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    assert(unix_s >= 0 && unix_s < INT64_C(253402300800));
    unsigned day = (unsigned)(unix_s / 86400), second = (unsigned)(unix_s % 86400);
    unsigned weekday = day % 7;
    /* Civil date of a day number, with years that begin in March so that leap days come last. */
    unsigned shifted = day + 719468;
    unsigned era = shifted / 146097, of_era = shifted % 146097;
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (5 * of_year + 2) / 153;
    unsigned of_month = of_year - (153 * march_month + 2) / 5 + 1;
    unsigned month = march_month < 10 ? march_month + 2 : march_month - 10; /* 0 = January */
    unsigned year = year_of_era + era * 400 + (month < 2 ? 1 : 0);

    memcpy(text, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_LEN);
    memcpy(text, days + 3 * (size_t)weekday, 3);
    two_digits(text + 5, of_month);
    memcpy(text + 8, months + 3 * (size_t)month, 3);
    two_digits(text + 12, year / 100);
    two_digits(text + 14, year % 100);
    two_digits(text + 17, second / 3600);
    two_digits(text + 20, second / 60 % 60);
    two_digits(text + 23, second % 60);
}
