/* Listening sockets from addresses of the configuration. */
#include "host/supervisor/listen.h"

#include "base/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static int to_socket_address(const struct config_address *address, union any_address *ret,
                             socklen_t *ret_len)
{
    memset(ret, 0, sizeof(*ret));
    if (address->kind == CONFIG_LISTEN_UNIX) {
        ret->local.sun_family = AF_UNIX;
        if (strlen(address->host) >= sizeof(ret->local.sun_path)) {
            return -ENAMETOOLONG;
        }
        memcpy(ret->local.sun_path, address->host, strlen(address->host) + 1);
        *ret_len = sizeof(ret->local);
        return 0;
    }
    if (address->ipv6) {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons((uint16_t)address->port);
        *ret_len = sizeof(ret->v6);
        return inet_pton(AF_INET6, address->host, &ret->v6.sin6_addr) == 1 ? 0 : -EINVAL;
    }
    ret->v4.sin_family = AF_INET;
    ret->v4.sin_port = htons((uint16_t)address->port);
    *ret_len = sizeof(ret->v4);
    return inet_pton(AF_INET, address->host, &ret->v4.sin_addr) == 1 ? 0 : -EINVAL;
}

/* Removes a socket file that nobody listens behind. */
static int clear_stale(const union any_address *address, socklen_t len)
{
    struct stat st;
    if (lstat(address->local.sun_path, &st) != 0) {
        return 0;
    }
    if (!S_ISSOCK(st.st_mode)) {
        return -EEXIST;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return -errno;
    }
    int rc = connect(probe, &address->any, len);
    (void)close(probe);
    if (rc == 0) {
        return -EADDRINUSE;
    }
    return unlink(address->local.sun_path) == 0 ? 0 : -errno;
}

static int bind_and_listen(int fd, const union any_address *address, socklen_t len, uint32_t mode)
{
    if (address->any.sa_family == AF_UNIX) {
        int rc = clear_stale(address, len);
        if (rc) {
            return rc;
        }
        mode_t before = umask(0777 & ~mode);
        rc = bind(fd, &address->any, len) == 0 ? 0 : -errno;
        (void)umask(before);
        if (rc) {
            return rc;
        }
    } else {
        int one = 1;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (address->any.sa_family == AF_INET6) {
            (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
        }
        if (bind(fd, &address->any, len) != 0) {
            return -errno;
        }
    }
    return listen(fd, 1024) == 0 ? 0 : -errno;
}

int listen_open(const char *text, uint32_t mode, char *err, size_t err_size)
{
    struct config_address parsed;
    union any_address address;
    socklen_t len = 0;
    int rc = config_address_parse(text, &parsed, err, err_size);
    if (rc) {
        return rc;
    }
    rc = to_socket_address(&parsed, &address, &len);
    int fd = -1;
    if (!rc) {
        fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        rc = fd < 0 ? -errno : bind_and_listen(fd, &address, len, mode);
    }
    if (rc) {
        if (fd >= 0) {
            (void)close(fd);
        }
        (void)snprintf(err, err_size, "cannot listen on %s: %s%s", text, strerror(-rc),
                       rc == -EADDRINUSE ? "; is another shunt running?" : "");
        return rc;
    }
    return fd;
}

void listen_name(int fd, char *out, size_t size)
{
    union any_address address = {0};
    socklen_t len = sizeof(address);
    char host[INET6_ADDRSTRLEN] = "";
    if (getsockname(fd, &address.any, &len) != 0) {
        (void)snprintf(out, size, "?");
    } else if (address.any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof(host));
        (void)snprintf(out, size, "%s:%u", host, ntohs(address.v4.sin_port));
    } else if (address.any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof(host));
        (void)snprintf(out, size, "[%s]:%u", host, ntohs(address.v6.sin6_port));
    } else {
        (void)snprintf(out, size, "unix:%s", address.local.sun_path);
    }
}
