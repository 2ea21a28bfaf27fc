/*
 * The tunable parameters of a policy as a unit cube: one coordinate for each that is declared
 * `tune`, scalar, the same for all models, and not set by the policy reference itself. Coordinates
 * follow the declared scale (log where it says so); integers, choices and switches get equal parts
 * each. Everything else keeps its value. Pure.
 */
#ifndef SIM_TUNE_SPACE_H
#define SIM_TUNE_SPACE_H

#include "base/params.h"

enum { TUNE_TEXT_MAX = PARAMS_MAX * (PARAMS_NAME_BYTES_MAX + 48) };

struct tune_space {
    const struct params *base; /* borrowed: the set that the search starts from */
    const struct params_schema *schema;
    uint32_t count;
    uint32_t index[PARAMS_MAX]; /* of each coordinate's parameter in the schema */
};

/* A zero count is no error: there is nothing to tune then. */
void tune_space_init(struct tune_space *space, const struct params *base);

/* The coordinates of the base's values, in the middle of their parts where those are discrete. */
void tune_space_start(const struct tune_space *space, double *ret_unit);

/*
 * A point as text for a policy reference, ":NAME=VALUE" for every coordinate, with four significant
 * digits and moved to the nearest legal values where a declared constraint forbids it. -EDOM: no
 * legal values were found near it; -ENOMEM.
 */
int tune_space_text(const struct tune_space *space, const double *unit,
                    char ret_text[TUNE_TEXT_MAX]);

/* The base's values in that form. */
void tune_space_start_text(const struct tune_space *space, char ret_text[TUNE_TEXT_MAX]);

/* The value of coordinate D in such a text, in the declared unit (a choice: its number); its text
 * into ret_text unless NULL, PARAMS_TEXT_BYTES_MAX large. */
double tune_space_value(const struct tune_space *space, const char *text, uint32_t d,
                        char *ret_text);

/* The coordinate that a value of parameter D stands at. */
double tune_space_unit(const struct tune_space *space, uint32_t d, double value);

#endif
