/*
 * Whether a scenario is the plain case that theory knows: requests served one at a time and to
 * their end, on one device that holds one model.
 */
#ifndef SIM_SERIAL_H
#define SIM_SERIAL_H

#include "sim/scenario.h"

/* Why it is not, in a few words; NULL if it is. */
const char *serial_reason(const struct scenario *scenario);

#endif
