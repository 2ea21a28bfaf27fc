/* Sentences in the host's log. */
#include "host/say.h"

#include <stdarg.h>
#include <stdio.h>

void say(enum log_level level, const char *event, const char *format, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    char text[LOG_VALUE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    LOG(level, log_event(event), log_str("text", text));
}
