/* A scenario made of a journal: see sim_journal.h. */
#include "tools/sim_journal.h"

#include "sim/journal_in.h"
#include "tools/verbs.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_segment(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".journal") == 0;
}

static int is_cell(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && entry->d_type == DT_DIR;
}

static void list_free(struct dirent **list, int count)
{
    for (int i = 0; i < count; i++) {
        free(list[i]);
    }
    free(list);
}

/* The folder of the only cell in `path`, where that is not one itself; malloc'ed, or NULL. */
static char *cell_of(const char *path)
{
    struct dirent **list = NULL;
    int segments = scandir(path, &list, is_segment, NULL);
    list_free(list, segments);
    list = NULL;
    int cells = segments == 0 ? scandir(path, &list, is_cell, alphasort) : 0;
    char *cell = NULL;
    if (cells == 1 && asprintf(&cell, "%s/%s", path, list[0]->d_name) < 0) {
        cell = NULL;
    }
    list_free(list, cells);
    return cell ? cell : strdup(path);
}

static int make_folder(const char *keep, struct sim_journal *made)
{
    const char *tmp = getenv("TMPDIR");
    made->temporary = !keep;
    if (keep) {
        made->folder = strdup(keep);
        return !made->folder ? -ENOMEM : mkdir(keep, 0777) && errno != EEXIST ? -errno : 0;
    }
    char *folder = NULL;
    if (asprintf(&folder, "%s/shunt-sim-XXXXXX", tmp && tmp[0] ? tmp : "/tmp") < 0) {
        return -ENOMEM;
    }
    if (!mkdtemp(folder)) {
        free(folder);
        return -errno;
    }
    made->folder = folder;
    return 0;
}

static void say_summary(const char *path, const struct journal_in_summary *summary)
{
    (void)fprintf(stderr, "%s: %" PRIu64 " requests, %" PRIu64 " steps of switches\n", path,
                  summary->requests, summary->switches);
    if (summary->before) {
        (void)fprintf(stderr, "  %" PRIu64 " requests had arrived before; they are left out\n",
                      summary->before);
    }
    if (summary->unserved) {
        (void)fprintf(stderr,
                      "  %" PRIu64 " were not completed; they take as long as their model's mean\n",
                      summary->unserved);
    }
    if (summary->unmeasured[0]) {
        (void)fprintf(stderr,
                      "  switches not all seen, taken as the mean of the other models': %s\n",
                      summary->unmeasured);
    }
    if (summary->gaps) {
        (void)fprintf(stderr, "  %" PRIu64 " gap%s, whose arrivals are missing; the first: %s\n",
                      summary->gaps, summary->gaps == 1 ? "" : "s", summary->first_gap);
    }
}

int sim_journal_load(const char *path, const char *keep, struct sim_journal *made,
                     struct scenario **ret_scenario)
{
    struct journal_in_summary summary;
    char err[SCENARIO_ERROR_MAX] = "", *cell = cell_of(path), *file = NULL;
    *made = (struct sim_journal){0};
    int rc = cell ? make_folder(keep, made) : -ENOMEM;
    if (rc && keep) {
        (void)snprintf(err, sizeof(err), "%s: %s", keep, strerror(-rc));
    }
    rc = rc ? rc : journal_in_convert(cell, made->folder, &summary, err, sizeof(err));
    if (!rc && asprintf(&file, "%s/scenario.yaml", made->folder) < 0) {
        file = NULL;
        rc = -ENOMEM;
    }
    rc = rc ? rc : scenario_load(file, NULL, ret_scenario, err, sizeof(err));
    if (rc) {
        (void)fprintf(stderr, "shunt sim: --journal-in: %s\n", err[0] ? err : strerror(-rc));
        sim_journal_fini(made);
    } else {
        say_summary(path, &summary);
    }
    free(cell);
    free(file);
    return rc ? VERB_USAGE : VERB_DONE;
}

void sim_journal_fini(struct sim_journal *made)
{
    static const char *const names[] = {"scenario.yaml", "arrivals.csv"};
    for (size_t i = 0; made->temporary && made->folder && i < sizeof(names) / sizeof(names[0]);
         i++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s", made->folder, names[i]) > 0) {
            (void)unlink(path);
            free(path);
        }
    }
    if (made->temporary && made->folder) {
        (void)rmdir(made->folder);
    }
    free(made->folder);
    made->folder = NULL;
}
