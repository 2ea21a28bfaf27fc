/* See fail.h. */
#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>

int fail(int code, char *err, size_t err_size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (err_size > 0) {
        (void)vsnprintf(err, err_size, format, args);
    }
    va_end(args);
    return code;
}
