/*
 * Listeners of a server, the limit of connections per address, and what happens when descriptors
 * run out. Knows nothing of HTTP but the one refusal it sends.
 */
#include "net/address.h"
#include "net/server_priv.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MS_NS INT64_C(1000000)

enum { ACCEPTS_PER_TURN = 64, BACKLOG = 1024 };

/* --- Connections per address --- */

static struct server_ip **ip_bucket(struct server *server, const unsigned char key[16])
{
    uint32_t hash = 2166136261u;
    for (unsigned i = 0; i < 16; i++) {
        hash = (hash ^ key[i]) * 16777619u;
    }
    return &server->ips[hash % SERVER_IP_BUCKETS];
}

void server_ip_release(struct server *server, struct server_ip *ip)
{
    if (!ip || --ip->conns > 0) {
        return;
    }
    struct server_ip **at = ip_bucket(server, ip->key);
    while (*at != ip) {
        at = &(*at)->next;
    }
    *at = ip->next;
    free(ip);
}

static bool ip_key(int fd, unsigned char key[16])
{
    struct address peer = {.len = sizeof peer.storage};
    if (getpeername(fd, (struct sockaddr *)&peer.storage, &peer.len)) {
        return false;
    }
    memset(key, 0, 16);
    if (peer.storage.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &peer.storage, sizeof in);
        memcpy(key, &in.sin_addr, 4);
        key[15] = 4; /* never a /64 prefix */
        return true;
    }
    if (peer.storage.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &peer.storage, sizeof in6);
        memcpy(key, &in6.sin6_addr, 8);
        return true;
    }
    return false;
}

int server_ip_acquire(struct server *server, int fd, struct server_ip **ret_ip)
{
    unsigned char key[16];
    *ret_ip = NULL;
    if (!server->options.conns_per_ip_max || !ip_key(fd, key)) {
        return 0;
    }
    struct server_ip **bucket = ip_bucket(server, key);
    for (struct server_ip *ip = *bucket; ip; ip = ip->next) {
        if (memcmp(ip->key, key, sizeof key) == 0) {
            if (ip->conns >= server->options.conns_per_ip_max) {
                return -EMFILE;
            }
            ip->conns++;
            *ret_ip = ip;
            return 0;
        }
    }
    struct server_ip *ip = calloc(1, sizeof *ip);
    if (!ip) {
        return -ENOMEM;
    }
    memcpy(ip->key, key, sizeof key);
    ip->conns = 1;
    ip->next = *bucket;
    *bucket = ip;
    *ret_ip = ip;
    return 0;
}

/* --- Accepting --- */

/* Says no in a line that most clients get to read, then closes. */
static void turn_away(int fd)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";
    (void)send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)close(fd);
}

static void accept_due(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct server_listener *listener = arg;
    struct server *server = listener->server;
    loop_enter(server->loop);
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        int conn_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (conn_fd >= 0) {
            if (server_adopt(server, conn_fd)) {
                turn_away(conn_fd);
            }
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR) {
            continue;
        }
        if (errno != EAGAIN) {
            /* No descriptors or memory: the waiting connection keeps the listener ready, so
             * asking again at once would only burn the processor. */
            server->stats.accept_failures++;
            for (unsigned k = 0; k < server->listeners_len; k++) {
                (void)event_del(&server->listeners[k].event);
            }
            loop_timer_set(&server->accept_again,
                           loop_now_ns(server->loop) + server->options.accept_backoff_ms * MS_NS);
        }
        break;
    }
    loop_leave(server->loop);
}

void server_accept_again(struct loop_timer *timer)
{
    struct server *server =
        (struct server *)(void *)((char *)timer - offsetof(struct server, accept_again));
    for (unsigned i = 0; i < server->listeners_len; i++) {
        (void)event_add(&server->listeners[i].event, NULL);
    }
}

int server_listen_fd(struct server *server, int fd)
{
    if (server->listeners_len == SERVER_LISTENERS_MAX) {
        return -ENOSPC;
    }
    struct server_listener *listener = &server->listeners[server->listeners_len];
    *listener = (struct server_listener){.server = server, .fd = fd};
    if (evutil_make_socket_nonblocking(fd) ||
        event_assign(&listener->event, loop_base(server->loop), fd, EV_READ | EV_PERSIST,
                     accept_due, listener) ||
        event_add(&listener->event, NULL)) {
        return -EINVAL;
    }
    server->listeners_len++;
    return 0;
}

static const char *unix_path_of(const char *text)
{
    return strncmp(text, "unix:", 5) == 0 ? text + 5 : NULL;
}

/* Binds a Unix socket that only this user may connect to. */
static int bind_unix(int fd, const struct address *address, const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        /* Stale only if nobody listens behind it. */
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (probe < 0) {
            return -errno;
        }
        int rc = connect(probe, (const struct sockaddr *)&address->storage, address->len);
        (void)close(probe);
        if (rc == 0) {
            return -EADDRINUSE;
        }
        (void)unlink(path);
    }
    mode_t before = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)&address->storage, address->len) ? -errno : 0;
    (void)umask(before);
    return rc;
}

int server_listen(struct server *server, const char *text)
{
    struct address address;
    int rc = address_parse(&address, text, /* resolve= */ 0);
    if (rc) {
        return rc;
    }
    const char *path = unix_path_of(text);
    int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    const int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (path) {
        rc = bind_unix(fd, &address, path);
    } else if (bind(fd, (const struct sockaddr *)&address.storage, address.len)) {
        rc = -errno;
    }
    if (rc == 0 && listen(fd, BACKLOG)) {
        rc = -errno;
    }
    if (rc == 0) {
        rc = server_listen_fd(server, fd);
    }
    if (rc) {
        (void)close(fd);
        return rc;
    }
    if (path) {
        server->listeners[server->listeners_len - 1].unix_path = strdup(path);
    }
    return 0;
}

unsigned server_port(const struct server *server)
{
    for (unsigned i = 0; i < server->listeners_len; i++) {
        struct address address = {.len = sizeof address.storage};
        if (getsockname(server->listeners[i].fd, (struct sockaddr *)&address.storage,
                        &address.len)) {
            continue;
        }
        if (address.storage.ss_family == AF_INET) {
            struct sockaddr_in in;
            memcpy(&in, &address.storage, sizeof in);
            return ntohs(in.sin_port);
        }
        if (address.storage.ss_family == AF_INET6) {
            struct sockaddr_in6 in6;
            memcpy(&in6, &address.storage, sizeof in6);
            return ntohs(in6.sin6_port);
        }
    }
    return 0;
}

void server_close_listeners(struct server *server)
{
    loop_timer_fini(&server->accept_again);
    for (unsigned i = 0; i < server->listeners_len; i++) {
        struct server_listener *listener = &server->listeners[i];
        (void)event_del(&listener->event);
        (void)close(listener->fd);
        if (listener->unix_path) {
            (void)unlink(listener->unix_path);
            free(listener->unix_path);
        }
    }
    server->listeners_len = 0;
}
