/*
 * What Prometheus scrapes: the fixed names of metrics.def, filled from what the cells tell their
 * observer and, at the moment of a scrape, from core's own counters. Labels are those of the table
 * and no others: no key, user or request ever becomes one. The number of series is bounded.
 *
 * Loop thread only.
 */
#ifndef HOST_METRICS_H
#define HOST_METRICS_H

#include "base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct cell;
struct metrics;

enum {
    METRICS_SERIES_MAX = 20000, /* combinations of label values; more are dropped and counted */
    METRICS_LABELS_MAX = 5,
    METRICS_LABEL_BYTES_MAX = 256, /* of one value; longer ones are cut */
};

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

/* Ids of the table: METRIC_REQUESTS_TOTAL and so on. */
enum metrics_id {
#define METRIC(id, name, type, labels, buckets, help) METRIC_##id,
#include "host/metrics.def"
    METRIC_COUNT
};

/* -ENOMEM. */
int metrics_create(struct metrics **ret_metrics);
void metrics_destroy(struct metrics *metrics);

/* Watches a cell from now on; the cell must not outlive the metrics. */
void metrics_watch(struct metrics *metrics, struct cell *cell);

/*
 * One series each; values in the order of the table's labels, as many as it names. Times are in
 * seconds, as Prometheus wants them. metrics_set also sets a counter that is kept elsewhere.
 */
void metrics_add(struct metrics *metrics, enum metrics_id id, const char *const *values,
                 double amount);
void metrics_set(struct metrics *metrics, enum metrics_id id, const char *const *values,
                 double value);
void metrics_observe(struct metrics *metrics, enum metrics_id id, const char *const *values,
                     double value);
/* Removes all series of a gauge, before it is filled anew. */
void metrics_clear(struct metrics *metrics, enum metrics_id id);

/* Called at the start of every scrape, to set gauges. Up to four. */
void metrics_collect(struct metrics *metrics, void (*collect)(struct metrics *metrics, void *ctx),
                     void *ctx);

/* The whole exposition as text: *ret_text is valid until the next call. -ENOMEM. */
int metrics_scrape(struct metrics *metrics, struct span *ret_text);
/* Its content type. */
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The table as docs/METRICS.md. */
void metrics_print_manual(FILE *out);

#endif
