/*
 * Reads a configuration of llama-swap into a draft. What has no counterpart becomes a remark, never
 * a guess; keys of clients are not copied.
 */
#include "tools/init.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MACRO_DEPTH_MAX = 8, EXPANDED_BYTES_MAX = 65536 };

struct reader {
    struct draft *draft;
    struct yaml *yaml;
    struct yaml_node *macros; /* global; NULL: none */
    double idle_unload_s;     /* globalTTL */
    double start_timeout_s;   /* healthCheckTimeout; 0: not given */
};

/* ------------------------------------------------------------------ macros */

struct text {
    char *bytes;
    size_t used;
};

static int put(struct text *out, const char *bytes, size_t length)
{
    if (out->used + length >= EXPANDED_BYTES_MAX) {
        return -E2BIG;
    }
    memcpy(out->bytes + out->used, bytes, length);
    out->used += length;
    out->bytes[out->used] = '\0';
    return 0;
}

static const char *macro_find(const struct reader *reader, struct yaml_node *own, const char *name)
{
    const struct yaml_node *node = yaml_get(own, name);
    if (!node) {
        node = yaml_get(reader->macros, name);
    }
    return node && node->kind == YAML_SCALAR ? node->text : NULL;
}

static int expand(const struct reader *reader, struct yaml_node *own, struct draft_list *remarks,
                  const char *text, unsigned depth, struct text *out);

/* What stands between ${ and }. */
static int expand_word(const struct reader *reader, struct yaml_node *own,
                       struct draft_list *remarks, const char *word, unsigned depth,
                       struct text *out)
{
    const char *macro = macro_find(reader, own, word);
    if (macro && depth < MACRO_DEPTH_MAX) {
        return expand(reader, own, remarks, macro, depth + 1, out);
    }
    char whole[160];
    if (strcmp(word, "MODEL_ID") == 0) {
        (void)snprintf(whole, sizeof whole, "${MODEL}");
    } else if (strcmp(word, "PORT") == 0 || strncmp(word, "env.", 4) == 0) {
        (void)snprintf(whole, sizeof whole, "${%s}", word);
    } else {
        /* ${PID} stands in stop commands only, which say so themselves. */
        if (strcmp(word, "PID") != 0) {
            draft_remark(remarks, "${%s} has no counterpart and stands as it is", word);
        }
        (void)snprintf(whole, sizeof whole, "$${%s}", word);
    }
    return put(out, whole, strlen(whole));
}

static int expand(const struct reader *reader, struct yaml_node *own, struct draft_list *remarks,
                  const char *text, unsigned depth, struct text *out)
{
    int result = 0;
    for (const char *at = text; *at && result == 0;) {
        const char *end = strncmp(at, "${", 2) == 0 ? strchr(at, '}') : NULL;
        char word[128];
        if (end && (size_t)(end - at) - 2 < sizeof word) {
            size_t length = (size_t)(end - at) - 2;
            memcpy(word, at + 2, length);
            word[length] = '\0';
            result = expand_word(reader, own, remarks, word, depth, out);
            at = end + 1;
        } else if (strncmp(at, "${", 2) == 0) {
            result = put(out, "$${", 3);
            at += 2;
        } else {
            result = put(out, at++, 1);
        }
    }
    return result;
}

/* The text of `key` with macros expanded, to be freed; NULL if there is none. */
static int get_text(const struct reader *reader, struct draft_model *model, struct yaml_node *map,
                    const char *key, char **ret_text)
{
    const char *raw = NULL;
    *ret_text = NULL;
    int result = yaml_string(reader->yaml, map, key, &raw);
    if (result) {
        return result == -ENOENT ? 0 : result;
    }
    struct text out = {.bytes = calloc(1, EXPANDED_BYTES_MAX)};
    if (!out.bytes) {
        return -ENOMEM;
    }
    result = expand(reader, yaml_get(map, "macros"), &model->remarks, raw, 0, &out);
    if (result) {
        free(out.bytes);
        return yaml_fail(reader->yaml, yaml_get(map, key),
                         "%s: is too long once macros stand in it", key);
    }
    *ret_text = out.bytes;
    return 0;
}

/* ------------------------------------------------------------------ models */

static bool has_argument(const struct draft_list *argv, const char *text)
{
    for (size_t i = 0; i < argv->count; i++) {
        if (strstr(argv->item[i], text)) {
            return true;
        }
    }
    return false;
}

/* Value of an option given as "NAME N" or "NAME=N"; 0 if it is not there. */
static double option_number(const struct draft_list *argv, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 1; i < argv->count; i++) {
        const char *value = NULL;
        if (strcmp(argv->item[i], name) == 0 && i + 1 < argv->count) {
            value = argv->item[i + 1];
        } else if (strncmp(argv->item[i], name, length) == 0 && argv->item[i][length] == '=') {
            value = argv->item[i] + length + 1;
        }
        if (value && strspn(value, "0123456789") == strlen(value) && strlen(value) < 5) {
            return strtod(value, NULL);
        }
    }
    return 0;
}

static int read_command(const struct reader *reader, struct draft_model *model,
                        struct yaml_node *map, const char *key, struct draft_list *argv)
{
    char *command = NULL;
    int result = get_text(reader, model, map, key, &command);
    if (result || !command) {
        return result;
    }
    if (draft_split(command, argv)) {
        result = yaml_fail(reader->yaml, yaml_get(map, key), "%s: a quote is left open", key);
    }
    free(command);
    return result;
}

static int read_strings(const struct reader *reader, struct yaml_node *map, const char *key,
                        struct draft_list *list)
{
    struct yaml_node *node = NULL;
    int result = yaml_sequence(reader->yaml, map, key, &node);
    if (result == -ENOENT) {
        return 0;
    }
    for (const struct yaml_node *one = result ? NULL : node->child; one && result == 0;
         one = one->next) {
        const char *text = NULL;
        result = yaml_node_string(reader->yaml, one, key, &text);
        if (result == 0) {
            draft_add(list, text);
        }
    }
    return result;
}

static int read_number(const struct reader *reader, struct yaml_node *map, const char *key,
                       double min, double max, double *value)
{
    int result = yaml_real(reader->yaml, map, key, min, max, value);
    return result == -ENOENT ? 0 : result;
}

/* proxy: where the engine answers. Left out where it only says what ${PORT} says. */
static int read_proxy(const struct reader *reader, struct draft_model *model, struct yaml_node *map)
{
    char *proxy = NULL;
    int result = get_text(reader, model, map, "proxy", &proxy);
    if (result || !proxy) {
        if (result == 0 && !has_argument(&model->start, "${PORT}")) {
            draft_remark(&model->remarks,
                         "the command does not use ${PORT}; state the url the engine answers at");
        }
        return result;
    }
    struct config_address address;
    char err[200], *url = NULL;
    const struct config_expansion with = {.port = 1, .model = "model"};
    if (strcmp(proxy, "http://localhost:${PORT}") == 0 ||
        strcmp(proxy, "http://127.0.0.1:${PORT}") == 0) {
        free(proxy);
        return 0;
    }
    if (config_expand(proxy, &with, &url, err, sizeof err) ||
        config_url_parse(url, &address, err, sizeof err)) {
        draft_remark(&model->remarks, "proxy: %s: %s", proxy, err);
    } else {
        model->url = draft_copy(proxy);
    }
    free(url);
    free(proxy);
    return 0;
}

static int read_health(const struct reader *reader, struct draft_model *model,
                       struct yaml_node *map)
{
    const char *path = NULL;
    int result = yaml_string(reader->yaml, map, "checkEndpoint", &path);
    if (result == 0 && path[0] == '/') {
        model->health_path = draft_copy(path);
    } else if (result == 0) {
        draft_remark(&model->remarks, "checkEndpoint: %s: a health path is always asked", path);
    }
    return result == -ENOENT ? 0 : result;
}

static void judge_engine(struct draft_model *model)
{
    model->engine = model->start.count ? draft_engine(&model->start) : CONFIG_ENGINE_COMMAND;
    model->pinned = model->start.count == 0;
    bool developer = has_argument(&model->env, "VLLM_SERVER_DEV_MODE=1") ||
                     has_argument(&model->start, "VLLM_SERVER_DEV_MODE=1");
    model->sleeps = model->engine == CONFIG_ENGINE_VLLM &&
                    has_argument(&model->start, "--enable-sleep-mode") && developer;
    if (model->engine == CONFIG_ENGINE_VLLM && !model->sleeps) {
        draft_remark(&model->remarks,
                     "add --enable-sleep-mode to the command, VLLM_SERVER_DEV_MODE=1 to env and "
                     "\"asleep\" to tiers: waking takes seconds, starting minutes");
    }
    if (model->max_concurrency <= 0) {
        double parallel = option_number(&model->start, "-np");
        parallel = parallel > 0 ? parallel : option_number(&model->start, "--parallel");
        parallel = parallel > 0 ? parallel : option_number(&model->start, "--max-num-seqs");
        model->max_concurrency = parallel;
    }
}

/* Keys without a counterpart, and what to say about them. */
static void remark_rest(struct draft_list *remarks, struct yaml_node *map)
{
    for (const struct yaml_node *node = map->child; node; node = node->next) {
        if (!node->used) {
            draft_remark(remarks, "not mapped: %s (line %u)", node->key, node->line);
        }
    }
}

static int read_model(const struct reader *reader, struct yaml_node *map)
{
    struct draft_model *model = draft_model_add(reader->draft, map->key);
    if (map->kind != YAML_MAPPING) {
        return yaml_fail(reader->yaml, map, "models.%.60s: wants a mapping", map->key);
    }
    const char *text = NULL;
    double idle = -1;
    int result = 0;
    model->start_timeout_s = reader->start_timeout_s;
    if ((result = read_command(reader, model, map, "cmd", &model->start)) ||
        (result = read_command(reader, model, map, "cmdStop", &model->stop)) ||
        (result = read_strings(reader, map, "env", &model->env)) ||
        (result = read_strings(reader, map, "aliases", &model->aliases)) ||
        (result = read_proxy(reader, model, map)) || (result = read_health(reader, model, map)) ||
        (result = read_number(reader, map, "ttl", -1, 31536000, &idle)) ||
        (result = read_number(reader, map, "unloadTimeout", 0, 3600, &model->stop_timeout_s)) ||
        (result =
             read_number(reader, map, "concurrencyLimit", 0, 65536, &model->max_concurrency))) {
        return result;
    }
    model->idle_unload_s = idle >= 0 ? idle : reader->idle_unload_s;
    if (yaml_string(reader->yaml, map, "useModelName", &text) == 0) {
        model->upstream_model = draft_copy(text);
    }
    (void)yaml_get(map, "macros");
    if (has_argument(&model->stop, "${PID}")) {
        draft_remark(&model->remarks, "cmdStop: ${PID} has no counterpart; the process group gets "
                                      "SIGTERM instead");
        for (size_t i = 0; i < model->stop.count; i++) {
            free(model->stop.item[i]);
        }
        model->stop.count = 0;
    }
    remark_rest(&model->remarks, map);
    judge_engine(model);
    return 0;
}

/* ------------------------------------------------------------------ the file */

static int read_preload(const struct reader *reader, struct yaml_node *root)
{
    struct yaml_node *startup = yaml_get(yaml_get(root, "hooks"), "on_startup");
    struct draft_list names = {.count = 0};
    int result = startup ? read_strings(reader, startup, "preload", &names) : 0;
    for (size_t i = 0; i < names.count; i++) {
        for (size_t m = 0; m < reader->draft->model_count; m++) {
            if (strcmp(reader->draft->models[m].name, names.item[i]) == 0) {
                reader->draft->models[m].preload = true;
            }
        }
        free(names.item[i]);
    }
    free(names.item);
    return result;
}

static void read_log_level(const struct reader *reader, struct yaml_node *root)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    uint32_t index = 0;
    if (yaml_choice(reader->yaml, root, "logLevel", "debug|info|warn|error", &index) == 0) {
        reader->draft->log_level = names[index];
    }
}

static int read_file(struct reader *reader)
{
    struct yaml_node *root = yaml_root(reader->yaml), *models = NULL;
    struct draft *draft = reader->draft;
    int result = yaml_mapping(reader->yaml, root, "models", &models);
    if (result) {
        return result == -ENOENT ? yaml_fail(reader->yaml, root,
                                             "models: is missing; is this a "
                                             "llama-swap file?")
                                 : result;
    }
    reader->macros = yaml_get(root, "macros");
    if ((result = read_number(reader, root, "globalTTL", 0, 31536000, &reader->idle_unload_s)) ||
        (result = read_number(reader, root, "healthCheckTimeout", 0.01, 86400,
                              &reader->start_timeout_s)) ||
        (result = read_number(reader, root, "startPort", 1024, 65535, &draft->engine_port_min))) {
        return result;
    }
    read_log_level(reader, root);
    for (struct yaml_node *node = models->child; node && result == 0; node = node->next) {
        result = read_model(reader, node);
    }
    if (result == 0) {
        result = read_preload(reader, root);
    }
    if (yaml_get(root, "apiKeys")) {
        draft_remark(
            &draft->remarks,
            "apiKeys: not copied; make keys with `shunt key -f keys NAME`, state keys_file");
    }
    remark_rest(&draft->remarks, root);
    return result;
}

int init_llama_swap_yaml(struct draft *draft, struct yaml *yaml, char *err, size_t err_size)
{
    struct reader reader = {.draft = draft, .yaml = yaml};
    int result = read_file(&reader);
    if (result) {
        (void)snprintf(err, err_size, "%s",
                       result == -EINVAL ? yaml_error(yaml) : strerror(-result));
    }
    draft->gpus = draft->gpus ? draft->gpus : 1;
    return result;
}

int init_llama_swap(struct draft *draft, const char *path, char *err, size_t err_size)
{
    struct yaml *yaml = NULL;
    int result = yaml_load(path, &yaml, err, err_size);
    if (result == 0) {
        result = init_llama_swap_yaml(draft, yaml, err, err_size);
        yaml_free(yaml);
    }
    return result;
}
