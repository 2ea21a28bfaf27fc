/*
 * What `shunt init` has found out before it writes: models as a draft, and remarks about what it
 * could not map. The readers of foreign files and servers fill it, init.c prints it.
 */
#ifndef SHUNT_TOOLS_INIT_H
#define SHUNT_TOOLS_INIT_H

#include "base/config.h"
#include "base/yaml.h"

#include <stdbool.h>
#include <stddef.h>

/* Texts in the order they were added. Zeroed is empty. */
struct draft_list {
    char **item;
    size_t count;
};

struct draft_model {
    char *name;
    char *url;            /* NULL: none */
    char *health_path;    /* NULL: the default */
    char *upstream_model; /* NULL: the same name */
    char *memory;         /* as memory_gib wants it; NULL: "auto" */
    struct draft_list aliases;
    struct draft_list start;
    struct draft_list stop;
    struct draft_list env;
    struct draft_list remarks;
    enum config_engine engine;
    bool sleeps; /* its command enables vLLM's sleep mode */
    bool preload;
    bool pinned;            /* can neither sleep nor be ended */
    double max_concurrency; /* 0 in these: the default */
    double start_timeout_s;
    double stop_timeout_s;
    double idle_unload_s;
};

struct draft {
    struct draft_model *models;
    size_t model_count;
    struct draft_list remarks; /* about the whole */
    const char *log_level;     /* static text; NULL: the default */
    uint32_t gpus;             /* 0: one emulated device */
    double engine_port_min;    /* 0: the default */
};

void draft_fini(struct draft *draft);

/* Memory runs out only where a program that writes one file may end: these do then. */
char *draft_copy(const char *text);
void draft_add(struct draft_list *list, const char *text);
void draft_remark(struct draft_list *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct draft_model *draft_model_add(struct draft *draft, const char *name);

/* Which driver a command line wants. */
enum config_engine draft_engine(const struct draft_list *argv);

/* Splits a command line as a shell does without expanding anything: blanks, '...', "...", \x;
 * lines that begin with # are comments, a backslash at the end of a line joins. -EINVAL if a quote
 * is left open. */
int draft_split(const char *command, struct draft_list *ret_argv);

/* Adds the models of a llama-swap file. -EINVAL or an error of open(2) with a line in `err`. */
int init_llama_swap(struct draft *draft, const char *path, char *err, size_t err_size);
int init_llama_swap_yaml(struct draft *draft, struct yaml *yaml, char *err, size_t err_size);

/* Adds the models that the server at `url` lists, as attached ones. -EINVAL, -EIO with a line. */
int init_probe(struct draft *draft, const char *url, char *err, size_t err_size);

/* Writes the file. */
void init_write(const struct draft *draft, FILE *out);

#endif
