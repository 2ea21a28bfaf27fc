/*
 * One sentence for the operator in the host's log (host/log.h): what happened, where, what happens
 * next. The handler of an error says it once; what a caller can handle itself is returned.
 */
#ifndef HOST_SAY_H
#define HOST_SAY_H

#include "host/log.h"

#define SAY_ERROR   LOG_ERROR
#define SAY_WARNING LOG_WARNING
#define SAY_INFO    LOG_INFO
#define SAY_DEBUG   LOG_DEBUG

/* `event` is a fixed word for machines ("engine_exited"), the rest is for people. Thread-safe. */
void say(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
