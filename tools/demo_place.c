/*
 * Where the demo runs: a port that is free, a folder of its own that goes when all went well, and a
 * policy that is found from there.
 */
#include "tools/demo_priv.h"

#include "base/policy_ref.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int demo_port_choose(struct demo *d)
{
    const int wanted[] = {d->options.port ? d->options.port : 8080, 0};
    int rc = -EADDRINUSE;
    for (size_t i = 0; i < (d->options.port ? 1U : 2U) && rc; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)wanted[i]),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            return demo_fail(d, -errno, "cannot make a socket: %s", strerror(errno));
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, (const struct sockaddr *)&address, size) == 0 && listen(fd, 1) == 0 &&
            getsockname(fd, (struct sockaddr *)&address, &size) == 0) {
            d->port = ntohs(address.sin_port);
            rc = 0;
        }
        (void)close(fd);
    }
    return rc ? demo_fail(d, rc, "port %d is taken: name another with --port", wanted[0]) : 0;
}

int demo_folder_make(struct demo *d)
{
    const char *parent = getenv("TMPDIR");
    if (d->options.folder) {
        if (mkdir(d->options.folder, 0700) && errno != EEXIST) {
            return demo_fail(d, -errno, "cannot make %s: %s", d->options.folder, strerror(errno));
        }
        char *whole = realpath(d->options.folder, NULL);
        int n = whole ? snprintf(d->folder, sizeof d->folder, "%s", whole) : -1;
        free(whole);
        if (n < 0 || (size_t)n >= sizeof d->folder) {
            return demo_fail(d, -ENAMETOOLONG, "%s: the path is too long", d->options.folder);
        }
    } else {
        int n = snprintf(d->folder, sizeof d->folder, "%s/shunt-demo-XXXXXX",
                         parent && *parent == '/' ? parent : "/tmp");
        if (n < 0 || (size_t)n >= sizeof d->folder || !mkdtemp(d->folder)) {
            d->folder[0] = '\0';
            return demo_fail(d, -EIO, "cannot make a folder in %s: %s", parent ? parent : "/tmp",
                             strerror(errno));
        }
    }
    int n = snprintf(d->socket, sizeof d->socket, "%s/state/admin.sock", d->folder);
    if (n < 0 || (size_t)n >= sizeof d->socket) {
        return demo_fail(d, -ENAMETOOLONG,
                         "%s is too long a path for a socket: set TMPDIR or --keep", d->folder);
    }
    demo_path(d, d->host.log, "host.log");
    demo_path(d, d->player.log, "replay.log");
    demo_path(d, d->checker.log, "check.log");
    return 0;
}

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *at)
{
    (void)facts;
    (void)kind;
    (void)at;
    return remove(path);
}

void demo_folder_remove(const struct demo *d)
{
    if (d->folder[0] && !d->options.folder) {
        (void)nftw(d->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
}

int demo_policy_resolve(struct demo *d)
{
    struct policy_ref ref;
    char err[512], *here = getcwd(NULL, 0);
    int rc = policy_ref_parse(d->options.policy, &ref, err, sizeof err);
    if (rc || !here || strpbrk(d->options.policy, "\"\\\n")) {
        free(here);
        if (rc == 0) {
            policy_ref_fini(&ref);
        }
        return demo_fail(d, -EINVAL, "--policy %s: %s", d->options.policy,
                         rc ? err : "not a reference that can stand in a configuration");
    }
    size_t target = strlen(ref.target), values = ref.values ? strlen(ref.values) + 1 : 0;
    bool far = ref.is_path && ref.target[0] != '/', far_values = values && ref.values[0] != '/';
    int n =
        snprintf(d->policy, sizeof d->policy, "%s%s%s%s%s%s%s%s", far ? here : "", far ? "/" : "",
                 ref.target, values ? "@" : "", far_values ? here : "", far_values ? "/" : "",
                 values ? ref.values : "", d->options.policy + target + values);
    /* Above its numbers stands the name of the file, or the whole of a short reference. */
    const char *slash = strrchr(ref.target, '/'), *base = slash ? slash + 1 : ref.target;
    size_t base_len = strlen(base);
    if (ref.is_path && base_len > 3 && strcmp(base + base_len - 3, ".so") == 0) {
        base_len -= 3;
    }
    (void)snprintf(d->policy_name, sizeof d->policy_name, "%.*s%s", (int)base_len, base,
                   ref.is_path ? "" : d->options.policy + target);
    policy_ref_fini(&ref);
    free(here);
    return n < 0 || (size_t)n >= sizeof d->policy ? demo_fail(d, -E2BIG, "--policy is too long")
                                                  : 0;
}
