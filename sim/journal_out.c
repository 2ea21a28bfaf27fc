/* Writes the journal of a simulated run: see journal_out.h. */
#include "sim/journal_out.h"

#include "base/journal.h"
#include "base/record.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SEGMENT_BYTES = 64 << 20, BUFFER_BYTES = 256 * 1024 };

struct journal_out {
    char *directory;
    char *config_text;
    struct journal_writer *writer;
    uint64_t hash;
    uint64_t segment_bytes; /* since its keyframe */
    void *payload;          /* of a keyframe or an input */
    size_t payload_bytes;
    bool begun; /* a keyframe is in the journal */
    int error;  /* the first */
};

static struct journal_now at(int64_t t_ns)
{
    return (struct journal_now){.wall_ns = t_ns, .mono_ns = t_ns};
}

static int writer_open(struct journal_out *out, int64_t t_ns)
{
    struct journal_options options = {.directory = out->directory,
                                      .segment_bytes_max = UINT64_C(1) << 62,
                                      .buffer_bytes = BUFFER_BYTES,
                                      .sync_interval_ns = -1,
                                      .build = "shunt sim"};
    return journal_writer_create(&out->writer, &options, at(t_ns));
}

static bool room(struct journal_out *out, size_t bytes)
{
    if (bytes > out->payload_bytes) {
        void *grown = realloc(out->payload, bytes);
        if (!grown) {
            out->error = -ENOMEM;
            return false;
        }
        out->payload = grown;
        out->payload_bytes = bytes;
    }
    return true;
}

static void append(struct journal_out *out, uint16_t type, const void *payload, size_t len,
                   int64_t t_ns)
{
    if (len > JOURNAL_PAYLOAD_MAX) {
        out->error = -EMSGSIZE;
        return;
    }
    const struct journal_record record = {
        .type = type, .t_ns = t_ns, .payload = payload, .len = (uint32_t)len};
    out->error = journal_writer_append(out->writer, &record, at(t_ns));
    out->segment_bytes += journal_record_bytes((uint32_t)len);
}

/* A new segment, when the one before is full: it begins with a keyframe, too. */
static void keyframe(struct journal_out *out, struct sim *sim, int64_t t_ns)
{
    if (out->begun) {
        out->error = journal_writer_close(out->writer, at(t_ns));
        out->writer = NULL;
        out->error = out->error ? out->error : writer_open(out, t_ns);
    }
    struct record_states states = {0};
    if (sim_drive(sim)) {
        record_states_take(sim_drive(sim), t_ns, &states);
    }
    size_t bytes = record_keyframe_bytes(sim_core(sim), &states);
    if (!out->error && room(out, bytes)) {
        record_keyframe_encode(sim_core(sim), &states, out->hash, out->begun, out->payload);
        append(out, JOURNAL_KEYFRAME, out->payload, bytes, t_ns);
    }
    record_states_fini(&states);
    if (!out->error) {
        append(out, JOURNAL_CONFIG, out->config_text, strlen(out->config_text), t_ns);
    }
    out->begun = true;
    out->hash = 0;
    out->segment_bytes = 0;
}

static void on_input(void *ctx, struct sim *sim, const struct core_input *input)
{
    struct journal_out *out = ctx;
    if (out->error || !input) {
        return;
    }
    if (!out->begun || out->segment_bytes > SEGMENT_BYTES) {
        keyframe(out, sim, input->t_ns);
    }
    size_t bytes = record_input_bytes(input);
    if (!out->error && room(out, bytes + RECORD_INPUT_HEAD)) {
        memcpy(out->payload, &out->hash, RECORD_INPUT_HEAD);
        memcpy((char *)out->payload + RECORD_INPUT_HEAD, input, bytes);
        append(out, JOURNAL_INPUT, out->payload, bytes + RECORD_INPUT_HEAD, input->t_ns);
    }
}

static void on_action(void *ctx, struct sim *sim, const struct core_action *action,
                      const struct sim_request *request)
{
    struct journal_out *out = ctx;
    (void)sim;
    (void)request;
    out->hash = record_hash(out->hash, action);
}

struct sim_observer journal_out_observer(struct journal_out *out)
{
    return (struct sim_observer){.ctx = out, .input = on_input, .action = on_action};
}

static int is_segment(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".journal") == 0;
}

/* 0; -EEXIST if there is a journal. */
static int make_folder(const char *directory)
{
    if (mkdir(directory, 0777) == 0) {
        return 0;
    }
    if (errno != EEXIST) {
        return -errno;
    }
    struct dirent **list = NULL;
    int count = scandir(directory, &list, is_segment, NULL);
    if (count < 0) {
        return -errno;
    }
    for (int i = 0; i < count; i++) {
        free(list[i]);
    }
    free(list);
    return count > 0 ? -EEXIST : 0;
}

static void out_free(struct journal_out *out)
{
    free(out->directory);
    free(out->config_text);
    free(out->payload);
    free(out);
}

int journal_out_create(const char *directory, const struct scenario *scenario,
                       struct journal_out **ret_out, char *err, size_t err_size)
{
    struct journal_out *out = calloc(1, sizeof(*out));
    if (!out) {
        return -ENOMEM;
    }
    out->directory = strdup(directory);
    out->config_text = config_core_json(scenario->config, 0);
    int rc = out->directory && out->config_text ? make_folder(directory) : -ENOMEM;
    rc = rc ? rc : writer_open(out, 0);
    if (rc) {
        (void)snprintf(err, err_size, "journal %s: %s", directory,
                       rc == -EEXIST ? "there is a journal in it; name another folder"
                                     : strerror(-rc));
        out_free(out);
        return rc;
    }
    *ret_out = out;
    return 0;
}

int journal_out_close(struct journal_out *out, int64_t t_ns, char *err, size_t err_size)
{
    if (!out) {
        return 0;
    }
    int rc = out->error;
    if (out->writer) {
        int closed = journal_writer_close(out->writer, at(t_ns));
        rc = rc ? rc : closed;
    }
    if (rc) {
        (void)snprintf(err, err_size, "journal %s: %s", out->directory, strerror(-rc));
    }
    out_free(out);
    return rc;
}
