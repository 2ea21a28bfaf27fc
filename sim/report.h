/*
 * The report of a simulation: one HTML file that needs nothing else, neither network nor server.
 * It carries its data, style (report/report.css) and script (report/report.js); the script draws.
 * Names of models, policies and scenarios are untrusted text: the data is escaped so that it cannot
 * end the element that holds it, and the script makes text nodes of it, never markup.
 */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/*
 * Writes a report of RESULTS, an array of result_json objects with "series" (sim/series.h); objects
 * without are in its tables only. Of several seeds of a policy on a scenario the first is drawn
 * over time, and the waits of so many: the rest would only make the file large.
 */
enum { REPORT_SEEDS_MAX = 20 };

/* -EINVAL no results, -ENOMEM, -EIO, each with one line in `err`. */
int report_write(FILE *out, const json_t *results, char *err, size_t err_size);

#endif
