/*
 * The report of a search: one HTML file that needs nothing else. Everything is drawn when it is
 * written, as inline SVG; there is no script in it. Names are untrusted text and escaped.
 */
#ifndef SHUNT_TOOLS_TUNE_PAGE_H
#define SHUNT_TOOLS_TUNE_PAGE_H

#include <jansson.h>
#include <stdio.h>

/* STUDY as tune_json() makes it. -EIO. */
int tune_page_write(FILE *out, const json_t *study);

#endif
