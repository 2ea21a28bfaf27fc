/*
 * A growing piece of text: bodies and answers that are gathered before they are used.
 */
#ifndef SHUNT_TOOLS_TEXT_H
#define SHUNT_TOOLS_TEXT_H

#include "base/span.h"

#include <stddef.h>

/* A zeroed one is empty. data is terminated beyond len, and the owner's to free. */
struct text {
    char *data;
    size_t len, size;
};

/* Appends; -ENOMEM leaves it as it was. */
int text_add(struct text *text, struct span more);

#endif
