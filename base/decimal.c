/*
 * Numbers and dates out of text, exact and without the locale: strtod rounds times such as
 * 1700000000.1234567 s to a quarter of a microsecond and reads "1,5" in some locales.
 */
#include "base/trace.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Collects digits as long as they fit; later ones only move the exponent. */
struct decimal {
    int64_t mantissa;
    int exponent;
    unsigned digits; /* digits seen at all */
    bool full;       /* a digit was left out */
};

static void decimal_digit(struct decimal *d, char c, bool fraction)
{
    int digit = c - '0';
    d->digits++;
    /* 18 digits fit without looking. */
    if (d->digits <= 18 || (!d->full && d->mantissa <= (INT64_MAX - digit) / 10)) {
        d->mantissa = d->mantissa * 10 + digit;
        d->exponent -= fraction;
    } else {
        d->full = true;
        d->exponent += !fraction;
    }
}

static int decimal_scale(int64_t mantissa, int exponent, int64_t *ret_value)
{
    static const int64_t powers[] = {1,
                                     10,
                                     100,
                                     1000,
                                     10000,
                                     100000,
                                     1000000,
                                     10000000,
                                     100000000,
                                     1000000000,
                                     10000000000,
                                     100000000000,
                                     1000000000000,
                                     10000000000000,
                                     100000000000000,
                                     1000000000000000,
                                     10000000000000000,
                                     100000000000000000,
                                     1000000000000000000};
    if (mantissa == 0 || exponent < -18) {
        *ret_value = 0;
        return 0;
    }
    if (exponent <= 0) {
        *ret_value = mantissa / powers[-exponent];
        return 0;
    }
    int64_t value;
    if (exponent > 18 || __builtin_mul_overflow(mantissa, powers[exponent], &value)) {
        return -ERANGE;
    }
    *ret_value = value;
    return 0;
}

/* An exponent's digits; returns the position after them, or 0 if there are none. */
static size_t exponent_parse(const char *text, size_t len, size_t i, int *exponent)
{
    bool negative = i < len && text[i] == '-';
    if (i < len && (text[i] == '-' || text[i] == '+')) {
        i++;
    }
    size_t start = i;
    int value = 0;
    for (; i < len && is_digit(text[i]); i++) {
        value = value < 10000 ? value * 10 + (text[i] - '0') : value;
    }
    *exponent += negative ? -value : value;
    return i == start ? 0 : i;
}

int decimal_parse(const char *text, size_t len, int exponent, int64_t *ret_value)
{
    struct decimal d = {.exponent = exponent};
    size_t i = 0;
    bool negative = len > 0 && text[0] == '-';
    if (len > 0 && (text[0] == '-' || text[0] == '+')) {
        i++;
    }
    for (; i < len && is_digit(text[i]); i++) {
        decimal_digit(&d, text[i], false);
    }
    if (i < len && text[i] == '.') {
        for (i++; i < len && is_digit(text[i]); i++) {
            decimal_digit(&d, text[i], true);
        }
    }
    if (d.digits == 0) {
        return -EINVAL;
    }
    if (i < len && (text[i] == 'e' || text[i] == 'E')) {
        i = exponent_parse(text, len, i + 1, &d.exponent);
    }
    if (i != len) {
        return -EINVAL;
    }
    if (d.full && d.exponent > 0) {
        return -ERANGE;
    }
    int64_t value;
    int rc = decimal_scale(d.mantissa, d.exponent, &value);
    if (rc == 0) {
        *ret_value = negative ? -value : value;
    }
    return rc;
}

/* Two digits at text[at] followed by END (0: nothing is asked of what follows). */
static bool two_digits(const char *text, size_t len, size_t at, char end, int *ret)
{
    if (at + 2 > len || !is_digit(text[at]) || !is_digit(text[at + 1]) ||
        (end && (at + 2 >= len || text[at + 2] != end))) {
        return false;
    }
    *ret = (text[at] - '0') * 10 + (text[at + 1] - '0');
    return true;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar, years 1970 to 2199. */
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* The zone at text[at]: nothing, Z, or +HH:MM. Offset in minutes. */
static bool zone_parse(const char *text, size_t len, size_t at, int *ret_minutes)
{
    int hours, minutes;
    if (at == len || (text[at] == 'Z' && at + 1 == len)) {
        *ret_minutes = 0;
        return true;
    }
    if ((text[at] != '+' && text[at] != '-') || at + 6 != len ||
        !two_digits(text, len, at + 1, ':', &hours) || hours > 23 ||
        !two_digits(text, len, at + 4, 0, &minutes) || minutes > 59) {
        return false;
    }
    *ret_minutes = (text[at] == '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

int datetime_parse(const char *text, size_t len, int64_t *ret_ns)
{
    int century, year, month, day, hour, minute, second, zone;
    if (len < 19 || !two_digits(text, len, 0, 0, &century) ||
        !two_digits(text, len, 2, '-', &year) || !two_digits(text, len, 5, '-', &month) ||
        !two_digits(text, len, 8, 0, &day) || (text[10] != ' ' && text[10] != 'T') ||
        !two_digits(text, len, 11, ':', &hour) || !two_digits(text, len, 14, ':', &minute) ||
        !two_digits(text, len, 17, 0, &second)) {
        return -EINVAL;
    }
    year += century * 100;
    if (year < 1970 || year > 2199 || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60) {
        return -EINVAL;
    }
    size_t i = 19;
    int64_t fraction = 0;
    if (i < len && text[i] == '.') {
        size_t end = i + 1;
        while (end < len && is_digit(text[end])) {
            end++;
        }
        if (end == i + 1 || decimal_parse(text + i, end - i, 9, &fraction)) {
            return -EINVAL;
        }
        i = end;
    }
    if (!zone_parse(text, len, i, &zone)) {
        return -EINVAL;
    }
    int64_t seconds =
        days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone * 60;
    if (seconds < 0) {
        return -EINVAL;
    }
    *ret_ns = seconds * 1000000000 + fraction;
    return 0;
}

int clock_parse(const char *text, size_t len, int64_t *ret_ns)
{
    const char *colon = memchr(text, ':', len);
    int minute, second;
    int64_t hours, fraction = 0;
    size_t at = colon ? (size_t)(colon - text) : 0;
    if (at == 0 || at > 6 || !is_digit(text[0]) || decimal_parse(text, at, 0, &hours) ||
        !two_digits(text, len, at + 1, ':', &minute) || minute > 59 ||
        !two_digits(text, len, at + 4, 0, &second) || second > 60) {
        return -EINVAL;
    }
    size_t i = at + 6;
    if (i < len && (text[i] != '.' || i + 1 == len || !is_digit(text[i + 1]) ||
                    decimal_parse(text + i, len - i, 9, &fraction) || fraction >= 1000000000)) {
        return -EINVAL;
    }
    *ret_ns = (hours * 3600 + minute * 60 + second) * 1000000000 + fraction;
    return 0;
}
