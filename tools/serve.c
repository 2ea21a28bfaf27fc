/* `shunt serve`: the host. The verb only reads its command line; the host itself is in host/. */
#include "tools/verbs.h"

#include "base/config.h"
#include "host/check.h"
#include "host/supervisor/spawn.h"
#include "host/supervisor/supervisor.h"
#include "host/supervisor/warden.h"
#include "host/worker/worker_main.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int check(const char *path)
{
    static struct config_errors errors;
    struct config *config = NULL;
    if (config_load(path, &config, &errors) != 0) {
        for (uint32_t i = 0; i < errors.count; i++) {
            (void)fprintf(stderr, "shunt serve: %s\n", errors.text[i]);
        }
        return VERB_USAGE;
    }
    int rc = check_print(config, stdout, stderr);
    config_free(config);
    return rc ? VERB_USAGE : VERB_DONE;
}

int verb_serve(int argc, char **argv)
{
    /* The roles in which the supervisor starts this program again; not for people. */
    if (argc > 1 && strcmp(argv[1], SPAWN_ROLE_EXEC) == 0) {
        return spawn_exec_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], SPAWN_ROLE_WORKER) == 0) {
        return worker_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], SPAWN_ROLE_WARDEN) == 0) {
        return warden_main();
    }
    struct supervisor_options options = {0};
    bool checking = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
            options.config_path = argv[++i];
        } else if (strcmp(argv[i], "--check") == 0) {
            checking = true;
        } else if (strcmp(argv[i], "--from-config") == 0) {
            options.from_config = true;
        } else if (strcmp(argv[i], "--help-config") == 0) {
            config_print_help(stdout);
            return VERB_DONE;
        } else {
            return verb_usage("serve", "unexpected argument \"%s\"", argv[i]);
        }
    }
    if (!options.config_path) {
        return verb_usage("serve", "no configuration given: -c FILE");
    }
    return checking ? check(options.config_path) : supervisor_run(&options);
}
