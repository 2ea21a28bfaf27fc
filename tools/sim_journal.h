/* `shunt sim --journal-in`: a scenario made of a journal, in a folder that goes again. */
#ifndef TOOLS_SIM_JOURNAL_H
#define TOOLS_SIM_JOURNAL_H

#include "sim/scenario.h"

struct sim_journal {
    char *folder; /* of the scenario made; NULL: none */
    bool temporary;
};

/*
 * Makes a scenario of the journal at `path` (a cell's folder, a folder with only one of those in
 * it, or a segment) and reads it. It is written to `keep`, a folder that is made if it does not
 * exist, or with NULL to a temporary one, which sim_journal_fini removes: not before the last run,
 * as the arrivals are read from it. What the journal could not tell is said on stderr. Returns a
 * verb status, having said why it is not VERB_DONE.
 */
int sim_journal_load(const char *path, const char *keep, struct sim_journal *ret_made,
                     struct scenario **ret_scenario);
void sim_journal_fini(struct sim_journal *made);

#endif
