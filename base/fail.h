/*
 * The one line that a refusal leaves for the caller: what, where, what to do.
 */
#ifndef BASE_FAIL_H
#define BASE_FAIL_H

#include <stddef.h>

/* Formats the line into `err` (cut at err_size; 0: none is wanted) and returns `code`, so that a
 * function can end with it. */
int fail(int code, char *err, size_t err_size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
