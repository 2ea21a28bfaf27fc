/*
 * What `shunt ctl` prints for people: answers of the admin interface as tables that fit a terminal
 * of 100 columns. Nothing here asks the host anything.
 */
#ifndef TOOLS_CTL_PRINT_H
#define TOOLS_CTL_PRINT_H

#include <jansson.h>
#include <stdio.h>

typedef void ctl_printer(const json_t *answer, FILE *out);

void ctl_print_message(const json_t *answer, FILE *out);
void ctl_print_text(const json_t *answer, FILE *out);
void ctl_print_status(const json_t *answer, FILE *out);
void ctl_print_models(const json_t *answer, FILE *out);
void ctl_print_policy_list(const json_t *answer, FILE *out);
void ctl_print_policy_show(const json_t *answer, FILE *out);
void ctl_print_explain(const json_t *answer, FILE *out);

#endif
