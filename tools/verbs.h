/*
 * The verbs of the program as functions, from the table in verbs.def.
 */
#ifndef SHUNT_TOOLS_VERBS_H
#define SHUNT_TOOLS_VERBS_H

/* Exit statuses that every verb returns. */
enum verb_status {
    VERB_DONE = 0,   /* what was asked for was done */
    VERB_FAILED = 1, /* the thing asked about failed: an engine, a check, a server */
    VERB_USAGE = 2   /* wrong usage or bad input; one line on stderr said what and where */
};

#define SHUNT_VERB(name, function, usage, summary, help) int function(int argc, char **argv);
#include "tools/verbs.def"
#undef SHUNT_VERB

/*
 * Says on stderr that the command line of a verb is wrong, in one line ("shunt VERB: ...; see
 * `shunt help VERB`"), and returns VERB_USAGE for the caller to return.
 */
int verb_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The program: argv as main got it; returns the exit status. */
int verbs_run(int argc, char **argv);

#endif
