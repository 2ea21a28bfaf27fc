/*
 * Texts to socket addresses and back. The only place of net/ that may ask the resolver, and so may
 * block.
 */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static int parse_unix(struct address *address, const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0) {
        return -EINVAL;
    }
    if (len >= sizeof un.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(un.sun_path, path, len);
    memset(&address->storage, 0, sizeof address->storage);
    memcpy(&address->storage, &un, sizeof un);
    address->len = sizeof un;
    return 0;
}

int address_parse(struct address *address, const char *text, int resolve)
{
    if (strncmp(text, "unix:", 5) == 0) {
        return parse_unix(address, text + 5);
    }
    const char *colon = strrchr(text, ':');
    if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 ||
        colon[1] == '\0') {
        return -EINVAL;
    }
    const char *host = text;
    size_t host_len = (size_t)(colon - text);
    if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
        host++;
        host_len -= 2;
    } else if (memchr(host, ':', host_len)) {
        return -EINVAL; /* a v6 address without brackets */
    }
    char name[256];
    if (host_len == 0 || host_len >= sizeof name) {
        return -EINVAL;
    }
    memcpy(name, host, host_len);
    name[host_len] = '\0';
    if (strcmp(name, "localhost") == 0) {
        memcpy(name, "127.0.0.1", sizeof "127.0.0.1");
    }
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | (resolve ? 0 : AI_NUMERICHOST),
    };
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(name, colon + 1, &hints, &found);
    if (rc) {
        return rc == EAI_NONAME && resolve ? -ENOENT : -EINVAL;
    }
    memset(&address->storage, 0, sizeof address->storage);
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

size_t address_format(const struct address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];
    int n;
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &address->storage, sizeof in);
        (void)inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
        n = snprintf(text, size, "%s:%u", host, (unsigned)ntohs(in.sin_port));
    } else if (address->storage.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &address->storage, sizeof in6);
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
        n = snprintf(text, size, "[%s]:%u", host, (unsigned)ntohs(in6.sin6_port));
    } else {
        n = snprintf(text, size, "unix");
    }
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size ? size - 1 : 0;
}
