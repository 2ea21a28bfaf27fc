/*
 * The stretch of arrivals that both policies are given, as a file: what is played twice is the same
 * to the byte. It is the beginning of the two Azure LLM 2023 traces where SHUNT_TRACES has them,
 * else it is drawn from generators fitted to their published statistics. Rows are never picked: as
 * many from the start as make the wanted load, then one factor on all times.
 */
#include "tools/demo_priv.h"

#include "base/arrivals.h"
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint64_t seed = 20231116;
/* Share of the conversation rows that go to the third model, each by its own number. */
static const double third_share = 0.25;
enum { STREAM_THIRD = 1000 };

struct row {
    double t_s;
    uint32_t model;
    int64_t input_tokens, output_tokens;
};

/* The trace of a service in FOLDER, under the names that it goes by; NULL: not there. */
static char *find_trace(const char *folder, const char *service)
{
    static const char *const starts[] = {"azure_llm_2023_", "AzureLLMInferenceTrace_"};
    static const char *const ends[] = {".csv", ".csv.zst", ".csv.gz"};
    for (size_t i = 0; folder && i < 6; i++) {
        char *path;
        if (asprintf(&path, "%s/%s%s%s", folder, starts[i / 3], service, ends[i % 3]) < 0) {
            return NULL;
        }
        if (access(path, R_OK) == 0) {
            return path;
        }
        free(path);
    }
    return NULL;
}

static int add_trace(struct arrivals_spec *spec, char *path, const char *model)
{
    struct arrivals_source *source;
    uint32_t number;
    int rc = arrivals_model(spec, model, &number);
    rc = rc ? rc : arrivals_source_add(spec, ARRIVALS_TRACE, &source);
    if (rc) {
        free(path);
        return rc;
    }
    source->model = number;
    source->path = path;
    source->format = *trace_format_find("azure-llm-2023");
    source->t0_shared = true;
    return 0;
}

/* Source 0 is conversations, source 1 code. */
static int make_spec(struct demo *d, struct arrivals_spec *spec)
{
    struct demo_stretch *s = &d->stretch;
    const char *folder = getenv("SHUNT_TRACES");
    char *conv = find_trace(folder, "conv"), *code = find_trace(folder, "code");
    s->real = conv && code;
    if (s->real) {
        (void)snprintf(s->source, sizeof s->source,
                       "the real Azure LLM 2023 traces, from their first row on; chat-7b and "
                       "code-14b get its two services (REAL), help-7b a quarter of the "
                       "conversation rows, each drawn by its number (SEMI)");
        int rc = add_trace(spec, conv, demo_models[0].name);
        if (rc) {
            free(code);
            return rc;
        }
        return add_trace(spec, code, demo_models[1].name);
    }
    (void)snprintf(
        s->source, sizeof s->source,
        "drawn, not a trace (%s%.200s); conversations and code follow the published "
        "statistics of Azure LLM 2023 (SYNTH), help-7b gets a quarter of the conversations",
        folder ? "none in SHUNT_TRACES=" : "SHUNT_TRACES is not set", folder ? folder : "");
    free(conv);
    free(code);
    int rc = arrivals_fitted(spec, ARRIVALS_FIT_AZURE_2023_CONV, demo_models[0].name);
    return rc ? rc : arrivals_fitted(spec, ARRIVALS_FIT_AZURE_2023_CODE, demo_models[1].name);
}

/* Rows from the start until their work makes the wanted load of the wanted length. */
static int take_rows(struct demo *d, struct arrivals *arrivals, struct row *rows, size_t *ret_len)
{
    const double wanted_s = d->options.load * d->stretch.length_s;
    double work_s = 0;
    size_t len = 0;
    while (work_s < wanted_s && len < DEMO_REQUESTS_MAX) {
        struct arrival a;
        char err[ARRIVALS_ERROR_MAX];
        int rc = arrivals_next(arrivals, &a, err, sizeof err);
        if (rc < 0) {
            return demo_fail(d, rc, "cannot read the arrivals: %s", err);
        }
        if (rc == 0) {
            break;
        }
        uint64_t bits = random_u64(seed, STREAM_THIRD, a.source_index);
        uint32_t model = a.model == 0 && random_unit(bits) < third_share ? 2 : a.model;
        rows[len++] = (struct row){(double)a.t_ns / 1e9, model, a.input_tokens, a.output_tokens};
        work_s += demo_work_s(&demo_models[model], a.input_tokens, a.output_tokens);
    }
    if (len < 2 || rows[len - 1].t_s <= 0) {
        return demo_fail(d, -EINVAL, "the arrivals end after %zu requests", len);
    }
    d->stretch.stretch = d->stretch.length_s / rows[len - 1].t_s;
    d->stretch.load = work_s / d->stretch.length_s;
    *ret_len = len;
    return 0;
}

static int write_rows(struct demo *d, const char *name, const struct row *rows, size_t len,
                      double factor)
{
    char path[DEMO_PATH_MAX];
    demo_path(d, path, name);
    FILE *file = fopen(path, "we");
    if (!file) {
        return demo_fail(d, -errno, "cannot write %s: %s", path, strerror(errno));
    }
    (void)fputs("t_s,model,input_tokens,output_tokens\n", file);
    for (size_t i = 0; i < len; i++) {
        (void)fprintf(file, "%.6f,%s,%" PRId64 ",%" PRId64 "\n", rows[i].t_s * factor,
                      demo_models[rows[i].model].name, rows[i].input_tokens, rows[i].output_tokens);
    }
    bool bad = ferror(file) != 0;
    if (fclose(file) || bad) {
        return demo_fail(d, -EIO, "cannot write %s: %s", path, strerror(errno));
    }
    return 0;
}

/* All models at once, a few seconds long: work for everybody while the policy is replaced. */
static int write_burst(struct demo *d)
{
    struct row rows[DEMO_MODELS * DEMO_BURST_EACH];
    for (uint32_t i = 0; i < DEMO_MODELS * DEMO_BURST_EACH; i++) {
        rows[i] = (struct row){
            .t_s = i * 0.1, .model = i % DEMO_MODELS, .input_tokens = 500, .output_tokens = 100};
    }
    return write_rows(d, "burst.csv", rows, DEMO_MODELS * DEMO_BURST_EACH, 1);
}

int demo_stretch_write(struct demo *d)
{
    struct arrivals_spec spec = {0};
    struct arrivals *arrivals = NULL;
    char err[ARRIVALS_ERROR_MAX];
    size_t len = 0;
    const struct arrivals_options options = {.seed = seed};
    struct row *rows = calloc(DEMO_REQUESTS_MAX, sizeof *rows);
    int rc = rows ? make_spec(d, &spec) : -ENOMEM;
    if (rc) {
        rc = demo_fail(d, rc, "cannot set up the arrivals: %s", strerror(-rc));
    } else if (arrivals_create(&arrivals, &spec, &options, err, sizeof err)) {
        rc = demo_fail(d, -EINVAL, "cannot read the arrivals: %s", err);
    }
    rc = rc ? rc : take_rows(d, arrivals, rows, &len);
    rc = rc ? rc : write_rows(d, "stretch.csv", rows, len, d->stretch.stretch);
    rc = rc ? rc : write_burst(d);
    for (size_t i = 0; i < len; i++) {
        d->stretch.requests[rows[i].model]++;
    }
    d->stretch.total = len;
    arrivals_destroy(arrivals);
    arrivals_spec_fini(&spec);
    free(rows);
    return rc;
}
