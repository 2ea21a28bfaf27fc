/*
 * The cast of the demo: three models that share one emulated GPU on which only one fits, and the
 * shunt.cfg that serves them. Service times are the emulator's presets, measured on an H800; the
 * switch costs are those of putting an engine to sleep and waking it over PCIe.
 */
#include "tools/demo_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#define SERVICE_7B                                                                                 \
    .service = "7b", .p0 = 5.49e-3, .p1 = 22.9e-6, .d0 = 8.45e-3, .d1 = 107e-6, .d2 = 44e-9
#define SERVICE_14B                                                                                \
    .service = "14b", .p0 = 7.76e-3, .p1 = 45.2e-6, .d0 = 13.26e-3, .d1 = 154e-6, .d2 = 145e-9

const struct demo_model demo_models[DEMO_MODELS] = {
    {.name = "chat-7b",
     .part = "conversations",
     SERVICE_7B,
     .load_s = 8,
     .sleep_s = 1,
     .wake_s = 2,
     .weights_gib = 15},
    {.name = "code-14b",
     .part = "code completion",
     SERVICE_14B,
     .load_s = 12,
     .sleep_s = 2,
     .wake_s = 3,
     .weights_gib = 28},
    {.name = "help-7b",
     .part = "further conversations",
     SERVICE_7B,
     .load_s = 8,
     .sleep_s = 1,
     .wake_s = 2,
     .weights_gib = 15},
};

double demo_work_s(const struct demo_model *model, int64_t input_tokens, int64_t output_tokens)
{
    double in = (double)input_tokens, out = (double)output_tokens, batch = DEMO_BATCH;
    double step = model->d0 + model->d1 * batch + model->d2 * batch * (in + out / 2);
    return model->p0 + model->p1 * in + out * step / batch;
}

static void write_model(const struct demo *d, FILE *file, const struct demo_model *m, bool last)
{
    (void)fprintf(file,
                  "  { name = \"%s\";  engine = \"emulated\";  devices = [ \"gpu0\" ];\n"
                  "    memory_gib = { resident = 70.0; asleep = 1.2; };  tiers = [ \"asleep\", "
                  "\"stopped\" ];\n"
                  "    host_memory_gib = { asleep = %.1f; };  max_concurrency = %d;  preload = "
                  "true;\n"
                  "    emulate = { load_s = %.1f; sleep_s = %.1f; wake_s = %.1f;\n"
                  "                args = [ \"--service\", \"%s\", \"--time-scale\", \"%g\" ]; }; "
                  "}%s\n",
                  m->name, m->weights_gib, DEMO_BATCH, m->load_s, m->sleep_s, m->wake_s, m->service,
                  d->options.time_scale, last ? " );" : ",");
}

/* Room for all requests to wait at once, as far as descriptors go: each has a connection. */
static unsigned waiting_max(const struct demo *d)
{
    enum { OTHERS = 1024 };
    struct rlimit limit;
    uint64_t wanted = d->stretch.total + 100;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < wanted + OTHERS) {
        wanted = limit.rlim_max > 2 * OTHERS ? limit.rlim_max - OTHERS : OTHERS;
    }
    return (unsigned)wanted;
}

/* Settings of the host in seconds of the trace; the file has them divided by the time scale. */
static void write_limits(const struct demo *d, FILE *file)
{
    const double x = d->options.time_scale;
    const unsigned waiting = waiting_max(d);
    (void)fprintf(file,
                  "limits = { queued_max = %u;  queue_per_model = %u;  in_flight_max = %d;\n"
                  "           connections_max = %u;\n"
                  "           max_wait_s = 0.0;  service_limit_s = %.4f; };\n"
                  "guard = { switch_timeout_s = %.4f;  visit_cap_floor_s = %.4f;\n"
                  "          quarantine_s = %.4f;  memory_timeout_s = %.4f; };\n",
                  waiting, waiting, DEMO_MODELS * DEMO_BATCH, waiting, 120 / x, 60 / x, 120 / x,
                  5 / x, 20 / x);
}

int demo_config_write(struct demo *d, const char *name, const char *policy)
{
    char path[DEMO_PATH_MAX];
    demo_path(d, path, name);
    FILE *file = fopen(path, "we");
    if (!file) {
        return demo_fail(d, -errno, "cannot write %s: %s", path, strerror(errno));
    }
    (void)fprintf(
        file,
        "# Written by `shunt demo`: three models, one emulated GPU, room for one of them.\n"
        "# Its engines play %g seconds of the trace in one; times of the host are divided alike.\n"
        "listen = \"127.0.0.1:%d\";\n"
        "state_dir = \"%s/state\";\n"
        "log_level = \"warning\";\n"
        "host_memory_gib = 64.0;\n"
        "devices = ( { name = \"gpu0\"; memory_gib = 80.0; } );\n"
        "policy = { use = \"%s\"; };\n"
        "models = (\n",
        d->options.time_scale, d->port ? d->port : 8080, d->folder, policy);
    for (size_t i = 0; i < DEMO_MODELS; i++) {
        write_model(d, file, &demo_models[i], i + 1 == DEMO_MODELS);
    }
    write_limits(d, file);
    bool bad = ferror(file) != 0;
    if (fclose(file) || bad) {
        return demo_fail(d, -EIO, "cannot write %s: %s", path, strerror(errno));
    }
    return 0;
}
