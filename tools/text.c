/*
 * Growing text by doubling, so that gathering a body costs linear time.
 */
#include "tools/text.h"

#include <errno.h>
#include <stdlib.h>

int text_add(struct text *text, struct span more)
{
    if (text->len + more.len + 1 > text->size) {
        size_t size = text->size ? text->size : 256;
        while (size < text->len + more.len + 1) {
            size *= 2;
        }
        char *grown = realloc(text->data, size);
        if (!grown) {
            return -ENOMEM;
        }
        text->data = grown;
        text->size = size;
    }
    if (more.len > 0) {
        memcpy(text->data + text->len, more.data, more.len);
    }
    text->len += more.len;
    text->data[text->len] = '\0';
    return 0;
}
