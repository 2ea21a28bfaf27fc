/*
 * `shunt ctl`: asks the admin interface of a running host and prints the answer, as tables for
 * people or as it came for programs. It holds no state and decides nothing.
 */
#include "base/config.h"
#include "net/client.h"
#include "net/loop.h"
#include "tools/ctl_print.h"
#include "tools/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 300, ANSWER_BYTES_MAX = 8 << 20 };

static const int64_t patience_ns =
    INT64_C(120) * 1000000000; /* a swap or reload may load a plugin */

struct ctl_verb {
    const char *words;    /* "policy show" */
    const char *path;     /* of the admin interface */
    const char *argument; /* name of the one argument; NULL: none; in brackets: may be left out */
    bool post;
    ctl_printer *print;
};

static const struct ctl_verb verbs[] = {
    {"status", "/status", NULL, false, ctl_print_status},
    {"models", "/models", NULL, false, ctl_print_models},
    {"load", "/load", "model", true, ctl_print_message},
    {"unload", "/unload", "model", true, ctl_print_message},
    {"pin", "/pin", "model", true, ctl_print_message},
    {"unpin", "/unpin", "model", true, ctl_print_message},
    {"drain", "/drain", NULL, true, ctl_print_message},
    {"reload", "/reload", NULL, true, ctl_print_message},
    {"logs", "/logs", "model", false, ctl_print_text},
    {"explain", "/explain", "id", false, ctl_print_explain},
    {"policy list", "/policy/list", NULL, false, ctl_print_policy_list},
    {"policy status", "/policy/list", NULL, false, ctl_print_policy_list},
    {"policy show", "/policy/show", "[policy]", false, ctl_print_policy_show},
    {"policy swap", "/policy/swap", "policy", true, ctl_print_message},
    {"policy rollback", "/policy/rollback", NULL, true, ctl_print_message},
    {"policy confirm", "/policy/confirm", NULL, true, ctl_print_message},
    {"policy set", "/policy/set", "set...", true, ctl_print_message},
    {"policy explain", "/explain", "id", false, ctl_print_explain},
    {"policy dump", "/policy/dump", NULL, false, ctl_print_text},
};

struct command {
    const char *socket;
    const char *config;
    bool json;
    const struct ctl_verb *verb;
    json_t *args;
    const char *words[WORDS_MAX];
    int word_count;
};

/* ------------------------------------------------------------------ the command line */

/* An option with a value that goes to the host as it is. */
static int take_option(struct command *command, int argc, char **argv, int *at)
{
    static const struct {
        const char *option, *key;
        bool number;
    } options[] = {{"--cell", "cell", false},
                   {"--isolation", "isolation", false},
                   {"--probation", "probation_s", true},
                   {"--bytes", "bytes", true}};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(argv[*at], options[i].option) != 0) {
            continue;
        }
        if (*at + 1 >= argc) {
            return verb_usage("ctl", "%s wants a value", argv[*at]);
        }
        const char *text = argv[++*at];
        json_t *value = json_string(text);
        if (options[i].number) {
            json_decref(value);
            value = json_loads(text, JSON_DECODE_ANY, NULL);
            if (!json_is_number(value)) {
                json_decref(value);
                return verb_usage("ctl", "%s wants a number, not \"%s\"", options[i].option, text);
            }
        }
        (void)json_object_set_new(command->args, options[i].key, value);
        return VERB_DONE;
    }
    return verb_usage("ctl", "unknown option \"%s\"", argv[*at]);
}

static int read_options(struct command *command, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char **value = strcmp(word, "-s") == 0   ? &command->socket
                             : strcmp(word, "-c") == 0 ? &command->config
                                                       : NULL;
        if (value) {
            if (++i >= argc) {
                return verb_usage("ctl", "%s wants a path", word);
            }
            *value = argv[i];
        } else if (strcmp(word, "--json") == 0) {
            command->json = true;
        } else if (strcmp(word, "--save") == 0) {
            (void)json_object_set_new(command->args, "save", json_true());
        } else if (word[0] == '-' && word[1]) {
            int rc = take_option(command, argc, argv, &i);
            if (rc) {
                return rc;
            }
        } else if (command->word_count == WORDS_MAX) {
            return verb_usage("ctl", "too many words");
        } else {
            command->words[command->word_count++] = word;
        }
    }
    return VERB_DONE;
}

/* Finds the verb in the first words; returns how many it took, 0 if there is none. */
static int find_verb(struct command *command)
{
    char two[128];
    const char *first = command->word_count > 0 ? command->words[0] : "";
    (void)snprintf(two, sizeof two, "%s %s", first,
                   command->word_count > 1 ? command->words[1] : "");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        bool double_word = strchr(verbs[i].words, ' ') != NULL;
        if (strcmp(verbs[i].words, double_word ? two : first) == 0) {
            command->verb = &verbs[i];
            return double_word ? 2 : 1;
        }
    }
    return 0;
}

static int read_command(struct command *command, int argc, char **argv)
{
    int rc = read_options(command, argc, argv);
    if (rc) {
        return rc;
    }
    int used = find_verb(command);
    if (!used) {
        return verb_usage("ctl", command->word_count ? "there is no \"%s\"" : "say what to do%s",
                          command->word_count ? command->words[0] : "");
    }
    const char *argument = command->verb->argument;
    int left = command->word_count - used;
    const char *word = left > 0 ? command->words[used] : NULL;
    if (argument && strcmp(argument, "set...") == 0) {
        json_t *list = json_array();
        for (int i = used; i < command->word_count; i++) {
            (void)json_array_append_new(list, json_string(command->words[i]));
        }
        (void)json_object_set_new(command->args, "set", list);
        return left ? VERB_DONE : verb_usage("ctl", "policy set wants NAME=VALUE ...");
    }
    if (left > (argument ? 1 : 0)) {
        return verb_usage("ctl", "%s: \"%s\" is too much", command->verb->words,
                          command->words[used + (argument ? 1 : 0)]);
    }
    if (argument && argument[0] == '[') {
        if (word) {
            (void)json_object_set_new(command->args, "policy", json_string(word));
        }
    } else if (argument) {
        if (!word) {
            return verb_usage("ctl", "%s wants a %s", command->verb->words, argument);
        }
        (void)json_object_set_new(command->args, argument, json_string(word));
    }
    return VERB_DONE;
}

/* ------------------------------------------------------------------ asking */

struct exchange {
    struct loop *loop;
    unsigned status;
    char *text;
    size_t len;
    bool too_large;
    bool over;
    enum client_result result;
    char detail[128];
};

static void on_head(struct client_exchange *exchange, const struct http_head *head, void *user)
{
    struct exchange *x = user;
    (void)exchange;
    x->status = head->status;
}

static void on_body(struct client_exchange *exchange, struct span data, void *user)
{
    struct exchange *x = user;
    (void)exchange;
    char *text =
        x->len + data.len <= ANSWER_BYTES_MAX ? realloc(x->text, x->len + data.len + 1) : NULL;
    if (!text) {
        x->too_large = true;
        return;
    }
    memcpy(text + x->len, data.data, data.len);
    x->text = text;
    x->len += data.len;
    x->text[x->len] = '\0';
}

static void on_done(struct client_exchange *exchange, enum client_result result, void *user)
{
    struct exchange *x = user;
    x->over = true;
    x->result = result;
    (void)snprintf(x->detail, sizeof x->detail, "%s", client_detail(exchange));
    loop_stop(x->loop);
}

static int ask(const char *socket, const struct ctl_verb *verb, const json_t *args,
               struct exchange *ret)
{
    static const struct client_ops ops = {on_head, on_body, on_done};
    char origin[300];
    struct client *client = NULL;
    struct client_exchange *exchange;
    char *body = json_dumps(args, JSON_COMPACT);
    (void)snprintf(origin, sizeof origin, "unix:%s", socket);
    struct client_options options = client_options_default;
    options.origin = origin;
    options.http.body_max_bytes = ANSWER_BYTES_MAX;
    int rc = body ? loop_create(&ret->loop) : -ENOMEM;
    if (rc == 0) {
        rc = client_create(ret->loop, &options, &client);
    }
    if (rc == 0) {
        /* Arguments travel in a body, which GET has none of; a verb that only shows takes both. */
        struct client_request request = {
            .method = SPAN_LITERAL("POST"),
            .target = span_of_string(verb->path),
            .fields = SPAN_LITERAL("Content-Type: application/json\r\n"),
            .body = {span_of_string(body)},
            .body_len = 1,
            .connect_timeout_ns = INT64_C(5000000000),
            .first_byte_timeout_ns = patience_ns,
            .between_bytes_timeout_ns = patience_ns,
        };
        rc = client_send(client, &request, &ops, ret, &exchange);
    }
    if (rc == 0) {
        rc = loop_run(ret->loop);
    }
    client_destroy(client);
    loop_destroy(ret->loop);
    free(body);
    return rc;
}

/* The socket to ask: given, or that of the configuration. */
static int find_socket(struct command *command, char *path, size_t size)
{
    if (command->socket) {
        (void)snprintf(path, size, "%s", command->socket);
        return VERB_DONE;
    }
    struct config_errors *errors = calloc(1, sizeof *errors);
    struct config *config;
    const char *file = command->config ? command->config : "shunt.cfg";
    int rc = errors ? config_load(file, &config, errors) : -ENOMEM;
    if (rc) {
        (void)fprintf(stderr, "shunt ctl: %s\n",
                      errors && errors->count ? errors->text[0] : strerror(-rc));
        if (!command->config) {
            (void)fputs("shunt ctl: say which host with -c CONFIG or -s SOCKET\n", stderr);
        }
        free(errors);
        return VERB_USAGE;
    }
    (void)snprintf(path, size, "%s", config->admin.socket);
    config_free(config);
    free(errors);
    return VERB_DONE;
}

static int show(const struct command *command, const struct exchange *x, const char *socket)
{
    if (x->result != CLIENT_OK) {
        (void)fprintf(stderr, "shunt ctl: no host answers at %s: %s%s%s\n", socket,
                      client_result_name(x->result), x->detail[0] ? ": " : "", x->detail);
        return VERB_FAILED;
    }
    json_error_t error;
    json_t *answer = x->too_large ? NULL : json_loads(x->text ? x->text : "", 0, &error);
    if (!answer) {
        (void)fprintf(stderr, "shunt ctl: the answer of the host is not JSON\n");
        return VERB_FAILED;
    }
    int status = VERB_DONE;
    if (x->status != 200) {
        const char *message =
            json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
        (void)fprintf(stderr, "shunt ctl: %s\n", message ? message : "the host refused");
        status = x->status == 400 || x->status == 404 ? VERB_USAGE : VERB_FAILED;
    } else if (command->json) {
        (void)fwrite(x->text, 1, x->len, stdout);
    } else {
        command->verb->print(answer, stdout);
    }
    json_decref(answer);
    return status;
}

int verb_ctl(int argc, char **argv)
{
    struct command command = {.args = json_object()};
    char socket[256];
    int rc = read_command(&command, argc, argv);
    if (rc == VERB_DONE) {
        rc = find_socket(&command, socket, sizeof socket);
    }
    if (rc == VERB_DONE) {
        struct exchange x = {0};
        int failed = ask(socket, command.verb, command.args, &x);
        if (failed) {
            (void)fprintf(stderr, "shunt ctl: cannot ask at %s: %s\n", socket, strerror(-failed));
            rc = VERB_FAILED;
        } else {
            rc = show(&command, &x, socket);
        }
        free(x.text);
    }
    json_decref(command.args);
    return rc;
}
