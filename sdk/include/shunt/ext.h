/*
 * Extension ids, reserved from the start. An id is "shunt.NAME/REV"; a changed meaning takes the
 * next REV and the old one stays. Third parties use reverse domain names. Both sides resolve an
 * extension once (host->get_extension in create, ops->get_extension after it) and keep the pointer.
 * ABI 1.0 reserves the ids and their meaning; a host without one returns NULL and the default in
 * the comment holds.
 */
#ifndef SHUNT_EXT_H
#define SHUNT_EXT_H

#define SHUNT_EXT_ADMISSION                                                                        \
    "shunt.admission/1"                    /* accept, defer or shed a request; default: accept */
#define SHUNT_EXT_ORDER    "shunt.order/1" /* sort key within a model's queue; default: arrival */
#define SHUNT_EXT_ROUTE    "shunt.route/1" /* which resident copy serves; default: least loaded */
#define SHUNT_EXT_FAIRNESS "shunt.fairness/1" /* next tenant; default: none */
#define SHUNT_EXT_SATURATION                                                                       \
    "shunt.saturation/1"                    /* 1 or more stops dispatch; default: concurrency */
#define SHUNT_EXT_MIGRATE "shunt.migrate/1" /* propose moving a request or model; default: none */
#define SHUNT_EXT_SCALE   "shunt.scale/1"   /* recommend instances; default: none */
#define SHUNT_EXT_KV      "shunt.kv/1"      /* rank cache eviction; default: the engine's */
#define SHUNT_EXT_BATCH   "shunt.batch/1"   /* concurrency by load; default: max_concurrency */
#define SHUNT_EXT_PREDICT "shunt.predict/1" /* forecast columns for others; default: absent */

#endif
