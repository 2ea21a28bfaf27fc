/*
 * Finds the verb of a command line in the table and runs it; prints the help that the same table
 * holds. It knows nothing about what the verbs do.
 */
#include "tools/verbs.h"

#include "base/config.h"
#include "sim/scenario.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;
    const char *summary;
    const char *help;
};

static const struct verb verbs[] = {
#define SHUNT_VERB(name, function, usage, summary, help) {name, function, usage, summary, help},
#include "tools/verbs.def"
#undef SHUNT_VERB
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct verb *verb_find(const char *name)
{
    for (const struct verb *verb = verbs; verb->name; verb++) {
        if (strcmp(verb->name, name) == 0) {
            return verb;
        }
    }
    return NULL;
}

int verb_usage(const char *verb, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "shunt %s: ", verb);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "; see `shunt help %s`\n", verb);
    va_end(args);
    return VERB_USAGE;
}

static void print_summary(FILE *out)
{
    (void)fputs("shunt: one GPU, many models; a loadable policy decides which is resident\n\n"
                "usage: shunt VERB [ARGUMENTS]\n\n",
                out);
    for (const struct verb *verb = verbs; verb->name; verb++) {
        (void)fprintf(out, "  %-12s %s\n", verb->name, verb->summary);
    }
    (void)fputs("  help [VERB]  this list, or the whole help of a verb\n"
                "  help --config  every setting of shunt.cfg (--manual: as Markdown)\n"
                "  help --scenarios  scenario files for `shunt sim`, as Markdown\n"
                "  --version    the version of this program\n\n"
                "Exit status: 0 done, 1 the thing asked about failed, 2 wrong usage or input.\n",
                out);
}

static void print_verb(const struct verb *verb)
{
    printf("usage: shunt %s %s\n\n%s.\n\n%s", verb->name, verb->usage, verb->summary, verb->help);
}

static int unknown_verb(const char *name)
{
    (void)fprintf(stderr, "shunt: there is no verb \"%s\"; `shunt help` lists them\n", name);
    return VERB_USAGE;
}

static int verb_help(int argc, char **argv)
{
    if (argc < 2) {
        print_summary(stdout);
        return VERB_DONE;
    }
    if (strcmp(argv[1], "--config") == 0) {
        config_print_help(stdout);
        return VERB_DONE;
    }
    if (strcmp(argv[1], "--manual") == 0) {
        config_print_manual(stdout);
        return VERB_DONE;
    }
    if (strcmp(argv[1], "--scenarios") == 0) {
        scenario_print_manual(stdout);
        return VERB_DONE;
    }
    const struct verb *verb = verb_find(argv[1]);
    if (!verb) {
        return unknown_verb(argv[1]);
    }
    print_verb(verb);
    return VERB_DONE;
}

int verbs_run(int argc, char **argv)
{
    if (argc < 2) {
        print_summary(stderr);
        return VERB_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        puts("shunt " SHUNT_VERSION);
        return VERB_DONE;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        return verb_help(argc - 1, argv + 1);
    }
    const struct verb *verb = verb_find(name);
    if (!verb) {
        return unknown_verb(name);
    }
    if (argc == 3 && strcmp(argv[2], "--help") == 0) {
        print_verb(verb);
        return VERB_DONE;
    }
    /* The settings are this program's, whether or not the verb runs in it. */
    if (argc == 3 && strcmp(name, "serve") == 0 && strcmp(argv[2], "--help-config") == 0) {
        config_print_help(stdout);
        return VERB_DONE;
    }
    return verb->run(argc - 1, argv + 1);
}
