/*
 * `shunt init`: writes a commented shunt.cfg from what it finds: the GPUs of this machine, a file
 * of llama-swap, running servers. Comments and defaults come from the table of settings. What was
 * written is read back at once, so that a file that does not load is never called good.
 */
#include "tools/init.h"

#include "tools/verbs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------ the draft */

static void *must(void *memory)
{
    if (!memory) {
        (void)fputs("shunt init: out of memory\n", stderr);
        exit(VERB_FAILED);
    }
    return memory;
}

char *draft_copy(const char *text)
{
    return must(strdup(text));
}

void draft_add(struct draft_list *list, const char *text)
{
    list->item = must(reallocarray(list->item, list->count + 1, sizeof *list->item));
    list->item[list->count++] = draft_copy(text);
}

void draft_remark(struct draft_list *list, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    draft_add(list, text);
}

struct draft_model *draft_model_add(struct draft *draft, const char *name)
{
    draft->models =
        must(reallocarray(draft->models, draft->model_count + 1, sizeof *draft->models));
    struct draft_model *model = &draft->models[draft->model_count++];
    *model = (struct draft_model){.name = draft_copy(name)};
    return model;
}

static void list_fini(struct draft_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->item[i]);
    }
    free(list->item);
}

void draft_fini(struct draft *draft)
{
    for (size_t m = 0; m < draft->model_count; m++) {
        struct draft_model *model = &draft->models[m];
        free(model->name);
        free(model->url);
        free(model->health_path);
        free(model->upstream_model);
        free(model->memory);
        list_fini(&model->aliases);
        list_fini(&model->start);
        list_fini(&model->stop);
        list_fini(&model->env);
        list_fini(&model->remarks);
    }
    free(draft->models);
    list_fini(&draft->remarks);
    *draft = (struct draft){.model_count = 0};
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum config_engine draft_engine(const struct draft_list *argv)
{
    static const struct {
        const char *word;
        enum config_engine engine;
    } words[] = {{"llama-server", CONFIG_ENGINE_LLAMA_SERVER},
                 {"llama.cpp", CONFIG_ENGINE_LLAMA_SERVER},
                 {"sglang", CONFIG_ENGINE_SGLANG},
                 {"ollama", CONFIG_ENGINE_OLLAMA},
                 {"vllm", CONFIG_ENGINE_VLLM}};
    /* The program decides; of an interpreter or a container, its module or image. */
    for (size_t i = 0; i < argv->count; i++) {
        const char *text = i == 0 ? base_name(argv->item[0]) : argv->item[i];
        bool model_path = i > 0 && (text[0] == '-' || text[0] == '/' || strstr(text, ".gguf"));
        for (size_t w = 0; !model_path && w < sizeof words / sizeof words[0]; w++) {
            if (strstr(text, words[w].word)) {
                return words[w].engine;
            }
        }
    }
    return CONFIG_ENGINE_COMMAND;
}

/* One word from *at on into `word`; -EINVAL if a quote is left open. */
static int take_word(const char **at, char *word)
{
    char quote = '\0';
    size_t used = 0;
    const char *c = *at;
    for (; *c && (quote || !isspace((unsigned char)*c)); c++) {
        if (quote == '\0' && (*c == '\'' || *c == '"')) {
            quote = *c;
        } else if (*c == quote) {
            quote = '\0';
        } else if (*c == '\\' && quote != '\'' && c[1] && (!quote || strchr("\"\\$`", c[1]))) {
            c++;
            if (*c == '\n') {
                break;
            }
            word[used++] = *c;
        } else {
            /* Line ends inside quotes: shunt.cfg takes none in an argument. */
            word[used++] = iscntrl((unsigned char)*c) ? ' ' : *c;
        }
    }
    word[used] = '\0';
    *at = c;
    return quote ? -EINVAL : 0;
}

int draft_split(const char *command, struct draft_list *ret_argv)
{
    char *word = must(malloc(strlen(command) + 1));
    int result = 0;
    bool line_start = true;
    for (const char *at = command; *at && result == 0;) {
        if (line_start && *at == '#') {
            at += strcspn(at, "\n");
        } else if (isspace((unsigned char)*at)) {
            line_start = *at == '\n' || line_start;
            at++;
        } else if (*at == '\\' && at[1] == '\n') {
            at += 2;
            line_start = true;
        } else {
            line_start = false;
            result = take_word(&at, word);
            if (result == 0) {
                draft_add(ret_argv, word);
            }
        }
    }
    free(word);
    return result;
}

/* ------------------------------------------------------------------ writing */

static void write_quoted(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            (void)fputc('\\', out);
        }
        (void)fputc(iscntrl(byte) ? ' ' : byte, out);
    }
    (void)fputc('"', out);
}

static void write_text(FILE *out, const char *key, const char *text)
{
    if (text) {
        (void)fprintf(out, "    %s = ", key);
        write_quoted(out, text);
        (void)fputs(";\n", out);
    }
}

static void write_list(FILE *out, const char *key, const struct draft_list *list)
{
    if (list->count == 0) {
        return;
    }
    (void)fprintf(out, "    %s = [ ", key);
    for (size_t i = 0; i < list->count; i++) {
        (void)fputs(i ? ", " : "", out);
        write_quoted(out, list->item[i]);
    }
    (void)fputs(" ];\n", out);
}

static void write_number(FILE *out, const char *key, double value)
{
    if (value > 0) {
        (void)fprintf(out, "    %s = %.12g;\n", key, value);
    }
}

static void write_remarks(FILE *out, const char *prefix, const struct draft_list *remarks)
{
    for (size_t i = 0; i < remarks->count; i++) {
        (void)fputs(prefix, out);
        for (const char *c = remarks->item[i]; *c; c++) {
            (void)fputc(iscntrl((unsigned char)*c) ? ' ' : *c, out);
        }
        (void)fputc('\n', out);
    }
}

static void write_model(FILE *out, const struct draft_model *model, bool last)
{
    (void)fputs("  {\n", out);
    write_remarks(out, "    # ", &model->remarks);
    write_text(out, "name", model->name);
    write_list(out, "aliases", &model->aliases);
    write_text(out, "engine", config_engine_name(model->engine));
    write_list(out, "start", &model->start);
    write_list(out, "stop", &model->stop);
    write_list(out, "env", &model->env);
    write_text(out, "url", model->url);
    write_text(out, "health_path", model->health_path);
    write_text(out, "upstream_model", model->upstream_model);
    (void)fprintf(out, "    memory_gib = %s;\n", model->memory ? model->memory : "\"auto\"");
    if (model->engine == CONFIG_ENGINE_VLLM && model->start.count > 0) {
        (void)fputs(model->sleeps ? "    tiers = [ \"asleep\", \"stopped\" ];\n"
                                  : "    tiers = [ \"stopped\" ];\n",
                    out);
    } else if (model->pinned) {
        (void)fputs("    devices = [ \"gpu0\" ];\n    pin = true;\n", out);
    } else if (model->start.count == 0 && model->engine != CONFIG_ENGINE_EMULATED) {
        (void)fputs("    tiers = [ \"asleep\" ];\n", out);
    }
    write_number(out, "max_concurrency", model->max_concurrency);
    write_number(out, "start_timeout_s", model->start_timeout_s);
    write_number(out, "stop_timeout_s", model->stop_timeout_s);
    write_number(out, "idle_unload_s", model->idle_unload_s);
    if (model->preload) {
        (void)fputs("    preload = true;\n", out);
    }
    (void)fprintf(out, "  }%s\n", last ? "" : ",");
}

static void write_top(FILE *out, const struct draft *draft)
{
    (void)config_print_comment(out, "listen", "# ");
    (void)fputs("listen = \"127.0.0.1:8080\";\n\n", out);
    (void)config_print_comment(out, "host_memory_gib", "# ");
    (void)fputs("host_memory_gib = \"auto\";\n\n", out);
    if (draft->log_level) {
        (void)config_print_comment(out, "log_level", "# ");
        (void)fprintf(out, "log_level = \"%s\";\n\n", draft->log_level);
    }
    if (draft->engine_port_min > 0) {
        double last = draft->engine_port_min + 999;
        (void)config_print_comment(out, "engine_port_min", "# ");
        (void)fprintf(out, "engine_port_min = %.0f;\nengine_port_max = %.0f;\n\n",
                      draft->engine_port_min, last > 65535 ? 65535.0 : last);
    }
}

static void write_devices(FILE *out, const struct draft *draft)
{
    (void)config_print_comment(out, "devices[].memory_gib", "# ");
    (void)fputs("devices = (\n", out);
    if (draft->gpus == 0) {
        (void)fputs("  # No GPU was found here: this one is emulated, and so are the models.\n"
                    "  { name = \"gpu0\"; memory_gib = 24.0; }\n",
                    out);
    }
    for (uint32_t g = 0; g < draft->gpus; g++) {
        (void)fprintf(out, "  { name = \"gpu%u\"; gpu = %u; memory_gib = \"auto\"; }%s\n", g, g,
                      g + 1 < draft->gpus ? "," : "");
    }
    (void)fputs(");\n\n", out);
}

void init_write(const struct draft *draft, FILE *out)
{
    (void)fputs("# shunt.cfg, written by `shunt init`. `shunt serve --check -c FILE` judges it,\n"
                "# `shunt serve --help-config` explains every setting.\n",
                out);
    write_remarks(out, "# ", &draft->remarks);
    (void)fputc('\n', out);
    write_top(out, draft);
    write_devices(out, draft);
    (void)config_print_comment(out, "policy.use", "# ");
    (void)fputs("policy = { use = \"amortized\"; };\n\n", out);
    (void)config_print_comment(out, "models[].memory_gib", "# ");
    (void)config_print_comment(out, "models[].tiers", "# ");
    (void)fputs("models = (\n", out);
    for (size_t m = 0; m < draft->model_count; m++) {
        write_model(out, &draft->models[m], m + 1 == draft->model_count);
    }
    (void)fputs(");\n\n", out);
    static const char *const groups[] = {"limits", "guard", "admin", "journal"};
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        (void)config_print_group(out, groups[g]);
        (void)fputs(g + 1 < sizeof groups / sizeof groups[0] ? "\n" : "", out);
    }
}

/* ------------------------------------------------------------------ the verb */

/* GPUs as the driver's device files count them. */
static uint32_t count_gpus(void)
{
    uint32_t count = 0;
    char path[32];
    for (; count < 16; count++) {
        (void)snprintf(path, sizeof path, "/dev/nvidia%u", count);
        if (access(path, F_OK) != 0) {
            break;
        }
    }
    return count;
}

/* Two emulated models, so that the file can be tried at once. */
static void draft_emulated(struct draft *draft)
{
    static const char *const names[] = {"large", "small"};
    static const char *const memory[] = {"{ resident = 18.0; asleep = 1.2; }",
                                         "{ resident = 12.0; asleep = 0.8; }"};
    for (size_t i = 0; i < 2; i++) {
        struct draft_model *model = draft_model_add(draft, names[i]);
        model->engine = CONFIG_ENGINE_EMULATED;
        model->memory = draft_copy(memory[i]);
    }
    draft->gpus = 0;
    draft_remark(&draft->remarks, "Nothing was asked for: two emulated models, to try shunt with.");
}

/* Says what is wrong with the text that was written; 0 if nothing is. */
static int judge(const char *text, size_t size, const char *name)
{
    static struct config_errors errors;
    struct config *config = NULL;
    int result = config_load_string(text, size, name, &config, &errors);
    for (uint32_t i = 0; result && i < errors.count; i++) {
        (void)fprintf(stderr, "shunt init: to be put right: %s\n", errors.text[i]);
    }
    config_free(config);
    return result;
}

static int write_out(const char *text, size_t size, const char *path, bool force)
{
    if (!path) {
        return fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0 ? 0 : -EIO;
    }
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL);
    int fd = open(path, flags, 0644);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!file) {
        int result = -errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return result;
    }
    bool good = fwrite(text, 1, size, file) == size;
    return fclose(file) == 0 && good ? 0 : -EIO;
}

static int finish(const struct draft *draft, const char *path, bool force)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = must(open_memstream(&text, &size));
    init_write(draft, out);
    if (fclose(out)) {
        (void)fputs("shunt init: out of memory\n", stderr);
        free(text);
        return VERB_FAILED;
    }
    int result = write_out(text, size, path, force);
    if (result) {
        (void)fprintf(stderr, "shunt init: %s: %s%s\n", path ? path : "standard output",
                      strerror(-result), result == -EEXIST ? "; --force replaces it" : "");
    }
    int judged = result ? 0 : judge(text, size, path ? path : "shunt.cfg");
    free(text);
    return result || judged ? VERB_FAILED : VERB_DONE;
}

static int gather(struct draft *draft, int argc, char **argv, const char **ret_path,
                  bool *ret_force)
{
    char err[600];
    draft->gpus = count_gpus();
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        int result = 0;
        if (strcmp(argv[i], "-o") == 0 && more) {
            *ret_path = argv[++i];
        } else if (strcmp(argv[i], "--force") == 0) {
            *ret_force = true;
        } else if (strcmp(argv[i], "--from-llama-swap") == 0 && more) {
            result = init_llama_swap(draft, argv[++i], err, sizeof err);
        } else if (strcmp(argv[i], "--probe") == 0 && more) {
            while (result == 0 && i + 1 < argc && argv[i + 1][0] != '-') {
                result = init_probe(draft, argv[++i], err, sizeof err);
            }
        } else {
            return verb_usage("init", "\"%s\" is not understood", argv[i]);
        }
        if (result) {
            (void)fprintf(stderr, "shunt init: %s\n", err);
            return result == -EIO ? VERB_FAILED : VERB_USAGE;
        }
    }
    return VERB_DONE;
}

int verb_init(int argc, char **argv)
{
    struct draft draft = {.model_count = 0};
    const char *path = NULL;
    bool force = false;
    int status = gather(&draft, argc, argv, &path, &force);
    if (status == VERB_DONE) {
        if (draft.model_count == 0) {
            draft_emulated(&draft);
        }
        status = finish(&draft, path, force);
    }
    draft_fini(&draft);
    return status;
}
