/*
 * Lines of a file that may be gzip or zstd compressed, one at a time in bounded memory. The
 * compression is told by the first bytes, not by the name.
 */
#ifndef SHUNT_BASE_LINES_H
#define SHUNT_BASE_LINES_H

#include <stddef.h>
#include <stdint.h>

struct lines;

/* Opens PATH for lines of at most LINE_MAX bytes. Errors: those of open(2), -ENOMEM. */
int lines_open(struct lines **ret_lines, const char *path, size_t line_max);
/* As lines_open() over DATA, which stays valid until lines_close(). */
int lines_open_memory(struct lines **ret_lines, const void *data, size_t size, size_t line_max);
/*
 * 1 and the next line, without its end (LF or CRLF), valid until the next call and terminated by
 * a zero byte beyond *ret_len; 0 at the end; else a negative errno, for which lines_reason() has
 * words: -EMSGSIZE line too long, -EBADMSG broken or cut-off archive, -EILSEQ zero byte in text,
 * -EIO and others of read(2).
 */
int lines_next(struct lines *lines, const char **ret_line, size_t *ret_len);
/* 1-based number of the line that lines_next() gave last or failed on. */
uint64_t lines_number(const struct lines *lines);
/* A static text for an error of lines_next(). */
const char *lines_reason(int error);
/* Accepts NULL. */
void lines_close(struct lines *lines);

#endif
