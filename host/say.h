/*
 * One line for the operator from any part of the host: what happened, where, what happens next.
 * The handler of an error says it once; what a caller can handle itself is returned, not said.
 */
#ifndef HOST_SAY_H
#define HOST_SAY_H

enum say_level { SAY_ERROR = 0, SAY_WARNING = 1, SAY_INFO = 2, SAY_DEBUG = 3 };

/* Who speaks ("supervisor", "worker"), and the least important level that is written. `part` must
 * be static. */
void say_init(const char *part, enum say_level least);

/* Thread-safe. `event` is a fixed word for machines ("engine_exited"), the rest is for people. */
void say(enum say_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
