/* Lines for the operator as JSON on standard error. */
#include "host/say.h"

#include "base/json_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *say_part = "shunt";
static enum say_level say_least = SAY_INFO;

void say_init(const char *part, enum say_level least)
{
    say_part = part;
    say_least = least;
}

void say(enum say_level level, const char *event, const char *format, ...)
{
    if (level > say_least) {
        return;
    }
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    struct timespec now = {0};
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    char stamp[40] = "";
    if (gmtime_r(&now.tv_sec, &utc)) {
        size_t len = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
        (void)snprintf(stamp + len, sizeof(stamp) - len, ".%03ldZ", now.tv_nsec / 1000000);
    }
    char line[8192];
    struct json_write w;
    json_write_init(&w, line, sizeof(line));
    json_write_object(&w);
    json_write_key(&w, "time");
    json_write_string(&w, stamp);
    json_write_key(&w, "level");
    json_write_string(&w, names[level]);
    json_write_key(&w, "part");
    json_write_string(&w, say_part);
    json_write_key(&w, "event");
    json_write_string(&w, event);
    json_write_key(&w, "text");
    json_write_string(&w, text);
    json_write_object_end(&w);
    json_write_plain(&w, SPAN_LITERAL("\n"));
    struct span out;
    if (json_write_done(&w, &out)) {
        /* One write a line, so that lines of several processes do not mix. */
        (void)!write(STDERR_FILENO, out.data, out.len);
    }
}
