/* Folders that the host keeps its state in. */
#ifndef HOST_FOLDERS_H
#define HOST_FOLDERS_H

/* Makes `path` and what is missing above it, readable by the owner only; one that exists is fine.
 * 0, -ENAMETOOLONG, or the error of mkdir(2). */
int folders_make(const char *path);

#endif
