/* Socket addresses as the configuration writes them: "host:port", "[v6]:port", "unix:PATH". */
#ifndef SHUNT_NET_ADDRESS_H
#define SHUNT_NET_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/*
 * Parses text. With resolve, a host name is looked up (blocking) and its first address is taken;
 * without, the host must be numeric or "localhost" (127.0.0.1). -EINVAL (malformed), -ENOENT
 * (unknown host), -ENAMETOOLONG (path of a Unix socket).
 */
int address_parse(struct address *address, const char *text, int resolve);

/* "127.0.0.1:80", "[::1]:80", "unix"; returns the length written, always terminated. */
size_t address_format(const struct address *address, char *text, size_t size);

#endif
