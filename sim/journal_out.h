/*
 * The journal of a simulated run, as the host's recorder writes one: keyframes, the configuration
 * behind each, every input before it is applied. `shunt journal verify` replays it, and a scenario
 * can be made of it (sim/journal_in.h). Its clock is the run's.
 */
#ifndef SIM_JOURNAL_OUT_H
#define SIM_JOURNAL_OUT_H

#include "sim/sim.h"

struct journal_out;

/* In `directory`, which is made if it does not exist and must not hold a journal. Negative errno
 * with one line in `err`. */
int journal_out_create(const char *directory, const struct scenario *scenario,
                       struct journal_out **ret_out, char *err, size_t err_size);

/* Watches a run. What goes wrong in writing is told by journal_out_close. */
struct sim_observer journal_out_observer(struct journal_out *out);

/* Ends the journal at t_ns and frees `out` (NULL is allowed). The first error, with one line. */
int journal_out_close(struct journal_out *out, int64_t t_ns, char *err, size_t err_size);

#endif
