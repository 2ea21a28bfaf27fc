/*
 * Text around the configuration: names of tiers and engines, addresses, ${...}, and the tree
 * printed back. It knows nothing of libconfig.
 */
#include "base/config_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { EXPANDED_BYTES_MAX = 131072, VALUE_BYTES_MAX = 2048 };

/* ------------------------------------------------------------------ names */

static const char *const tier_names[SHUNT_TIER_COUNT] = {
    [SHUNT_TIER_STOPPED] = "stopped",     [SHUNT_TIER_STAGED] = "staged",
    [SHUNT_TIER_DISCARDED] = "discarded", [SHUNT_TIER_SUSPENDED] = "suspended",
    [SHUNT_TIER_ASLEEP] = "asleep",       [SHUNT_TIER_RESIDENT] = "resident",
};

const char *config_tier_name(uint32_t tier)
{
    return tier < SHUNT_TIER_COUNT ? tier_names[tier] : "?";
}

int config_tier_find(const char *name)
{
    for (int t = 0; t < SHUNT_TIER_COUNT; t++) {
        if (strcmp(tier_names[t], name) == 0) {
            return t;
        }
    }
    return -ENOENT;
}

const char *config_engine_name(uint32_t engine)
{
    static const char *const names[CONFIG_ENGINE_COUNT] = {
        "emulated", "vllm", "sglang", "llama_server", "ollama", "command", "remote"};
    return engine < CONFIG_ENGINE_COUNT ? names[engine] : "?";
}

int config_find_model(const struct config *config, const char *name)
{
    for (uint32_t m = 0; m < config->model_count; m++) {
        const struct config_model *model = &config->models[m];
        if (strcmp(model->name, name) == 0) {
            return (int)m;
        }
        for (uint32_t a = 0; a < model->aliases.count; a++) {
            if (strcmp(model->aliases.item[a], name) == 0) {
                return (int)m;
            }
        }
    }
    return -ENOENT;
}

/* ------------------------------------------------------------------ ${...} */

struct expansion {
    char *text;
    size_t used;
    size_t size;
};

static int append(struct expansion *out, const char *text, size_t length)
{
    if (out->size - out->used <= length) {
        size_t size = (out->used + length + 1) * 2;
        if (size > 2 * EXPANDED_BYTES_MAX) {
            return -E2BIG;
        }
        char *more = realloc(out->text, size);
        if (!more) {
            return -ENOMEM;
        }
        out->text = more;
        out->size = size;
    }
    memcpy(out->text + out->used, text, length);
    out->used += length;
    out->text[out->used] = '\0';
    return 0;
}

/* The value of what stands between ${ and }. */
static int expand_name(const char *name, size_t length, const struct config_expansion *with,
                       struct expansion *out, char *err, size_t err_size)
{
    char word[128];
    if (length >= sizeof word) {
        (void)snprintf(err, err_size, "${...} is too long");
        return -EINVAL;
    }
    memcpy(word, name, length);
    word[length] = '\0';
    if (strcmp(word, "PORT") == 0) {
        char port[16];
        int digits = snprintf(port, sizeof port, "%u", with->port);
        return append(out, port, (size_t)digits);
    }
    if (strcmp(word, "MODEL") == 0) {
        return append(out, with->model, strlen(with->model));
    }
    if (strncmp(word, "env.", 4) != 0) {
        (void)snprintf(err, err_size,
                       "${%.60s} is unknown; there are ${PORT}, ${MODEL} and ${env.NAME}", word);
        return -EINVAL;
    }
    const char *value = getenv(word + 4);
    if (!value) {
        (void)snprintf(err, err_size, "${%.60s}: the environment has no %.60s", word, word + 4);
        return -EINVAL;
    }
    return append(out, value, strlen(value));
}

int config_expand(const char *text, const struct config_expansion *with, char **ret_text, char *err,
                  size_t err_size)
{
    struct expansion out = {.text = NULL};
    int result = append(&out, "", 0);
    for (const char *at = text; *at && result == 0;) {
        if (strncmp(at, "$${", 3) == 0) {
            result = append(&out, "${", 2);
            at += 3;
        } else if (strncmp(at, "${", 2) == 0) {
            const char *end = strchr(at, '}');
            if (!end) {
                (void)snprintf(err, err_size, "${ without }; write $${ for the two characters");
                result = -EINVAL;
                break;
            }
            result = expand_name(at + 2, (size_t)(end - at) - 2, with, &out, err, err_size);
            at = end + 1;
        } else {
            size_t plain = strcspn(at + 1, "$") + 1;
            result = append(&out, at, plain);
            at += plain;
        }
    }
    if (result) {
        free(out.text);
        if (result != -EINVAL) {
            (void)snprintf(err, err_size, "%s", result == -E2BIG ? "is too long" : "out of memory");
        }
        return result == -E2BIG ? -EINVAL : result;
    }
    *ret_text = out.text;
    return 0;
}

/* ------------------------------------------------------------------ addresses */

static int port_parse(const char *text, uint32_t *ret_port)
{
    uint32_t port = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0') {
        return -EINVAL;
    }
    for (size_t i = 0; i < digits; i++) {
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (port > 65535) {
        return -EINVAL;
    }
    *ret_port = port;
    return 0;
}

static int unix_parse(const char *path, struct config_address *ret_address, char *err,
                      size_t err_size)
{
    struct config_address address = {.kind = CONFIG_LISTEN_UNIX, .loopback = true};
    if (path[0] != '/' || strlen(path) >= sizeof address.host) {
        (void)snprintf(err, err_size, "a unix: path begins with / and has at most %zu bytes",
                       sizeof address.host - 1);
        return -EINVAL;
    }
    (void)snprintf(address.host, sizeof address.host, "%s", path);
    *ret_address = address;
    return 0;
}

/* HOST:PORT into its parts; the host without brackets. */
static int host_port_split(const char *text, struct config_address *address, char *err,
                           size_t err_size)
{
    bool bracket = text[0] == '[';
    const char *end = bracket ? strchr(text, ']') : strrchr(text, ':');
    const char *colon = bracket && end ? end + 1 : end;
    size_t length = end ? (size_t)(end - text) - bracket : 0;
    if (!end || *colon != ':' || length == 0 || length >= sizeof address->host ||
        (!bracket && memchr(text, ':', length))) {
        (void)snprintf(err, err_size, "wants HOST:PORT, [IPv6]:PORT or unix:/path");
        return -EINVAL;
    }
    memcpy(address->host, text + bracket, length);
    address->host[length] = '\0';
    address->ipv6 = bracket;
    if (port_parse(colon + 1, &address->port)) {
        (void)snprintf(err, err_size, "the port after \":\" wants a number from 0 to 65535");
        return -EINVAL;
    }
    return 0;
}

static bool ipv4_loopback(const struct in_addr *address)
{
    return (ntohl(address->s_addr) >> 24) == 127;
}

static int classify(struct config_address *address, bool names, char *err, size_t err_size)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (address->ipv6) {
        if (inet_pton(AF_INET6, address->host, &v6) != 1) {
            (void)snprintf(err, err_size, "[%.60s] is not an IPv6 address", address->host);
            return -EINVAL;
        }
        struct in_addr mapped;
        memcpy(&mapped, v6.s6_addr + 12, sizeof mapped);
        address->loopback =
            IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && ipv4_loopback(&mapped));
        return 0;
    }
    if (strcmp(address->host, "*") == 0) {
        (void)snprintf(address->host, sizeof address->host, "0.0.0.0");
    } else if (strcmp(address->host, "localhost") == 0) {
        (void)snprintf(address->host, sizeof address->host, "127.0.0.1");
    }
    if (inet_pton(AF_INET, address->host, &v4) == 1) {
        address->loopback = ipv4_loopback(&v4);
        return 0;
    }
    if (names && strspn(address->host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789.-_") == strlen(address->host)) {
        return 0;
    }
    (void)snprintf(err, err_size, "\"%.60s\" is not an address; write numbers, not a name",
                   address->host);
    return -EINVAL;
}

int config_address_parse(const char *text, struct config_address *ret_address, char *err,
                         size_t err_size)
{
    if (strncmp(text, "unix:", 5) == 0) {
        return unix_parse(text + 5, ret_address, err, err_size);
    }
    struct config_address address = {.kind = CONFIG_LISTEN_TCP};
    int result = host_port_split(text, &address, err, err_size);
    if (result == 0) {
        result = classify(&address, /* names= */ false, err, err_size);
    }
    if (result == 0) {
        *ret_address = address;
    }
    return result;
}

int config_url_parse(const char *text, struct config_address *ret_address, char *err,
                     size_t err_size)
{
    if (strncmp(text, "unix:", 5) == 0) {
        return unix_parse(text + 5, ret_address, err, err_size);
    }
    char copy[256];
    size_t length = strlen(text);
    if (strncmp(text, "http://", 7) != 0 || length >= sizeof copy) {
        (void)snprintf(err, err_size, "wants http://HOST:PORT or unix:/path%s",
                       strncmp(text, "https:", 6) == 0 ? "; TLS is not spoken to engines" : "");
        return -EINVAL;
    }
    (void)snprintf(copy, sizeof copy, "%s", text + 7);
    length = strcspn(copy, "/");
    if (copy[length] != '\0' && copy[length + 1] != '\0') {
        (void)snprintf(err, err_size, "wants no path behind the port; the client's is used");
        return -EINVAL;
    }
    copy[length] = '\0';
    if (copy[0] != '[' && !strchr(copy, ':') && length + 4 < sizeof copy) {
        (void)snprintf(copy + length, sizeof copy - length, ":80");
    }
    struct config_address address = {.kind = CONFIG_LISTEN_TCP};
    int result = host_port_split(copy, &address, err, err_size);
    if (result == 0) {
        result = classify(&address, /* names= */ true, err, err_size);
    }
    if (result == 0) {
        *ret_address = address;
    }
    return result;
}

/* ------------------------------------------------------------------ the tree as text */

struct out {
    char *text;
    size_t size;
    size_t used;
};

static void put(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct out *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int got = vsnprintf(out->text + out->used, out->size - out->used, format, args);
    va_end(args);
    if (got > 0) {
        size_t room = out->size - out->used - 1;
        out->used += (size_t)got < room ? (size_t)got : room;
    }
}

static void put_string(struct out *out, const char *text)
{
    put(out, "\"");
    for (; *text; text++) {
        put(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    put(out, "\"");
}

/* A number in the fewest digits that mean it, in the unit of the key. */
static void put_number(struct out *out, const struct config_info *info, const void *member)
{
    if (info->kind == CONFIG_KIND_REAL) {
        put(out, "%.12g", *(const double *)member);
    } else if (*(const int64_t *)member == CONFIG_AUTOMATIC && (info->flags & CONFIG_AUTO)) {
        put(out, "\"auto\"");
    } else {
        put(out, "%.15g", (double)*(const int64_t *)member / config_unit_scale(info->unit));
    }
}

static void put_memory(struct out *out, const struct config_memory *memory, double scale)
{
    if (memory->automatic) {
        put(out, "\"auto\"");
        return;
    }
    put(out, "{ ");
    for (uint32_t t = SHUNT_TIER_COUNT; t-- > 0;) {
        if (memory->bytes[t] >= 0) {
            put(out, "%s = %.12g; ", config_tier_name(t), (double)memory->bytes[t] / scale);
        }
    }
    put(out, "}");
}

static void put_choice(struct out *out, const char *choices, uint32_t index)
{
    for (; index > 0; index--) {
        choices += strcspn(choices, "|");
        choices += *choices == '|';
    }
    put(out, "\"%.*s\"", (int)strcspn(choices, "|"), choices);
}

static void put_params(struct out *out, const struct config_params *params)
{
    put(out, "{ ");
    for (uint32_t i = 0; i < params->count; i++) {
        put(out, "%s = %s; ", params->item[i].name, params->item[i].text);
    }
    put(out, "}");
}

void config_format_value(const struct config *config, const struct config_info *info,
                         const void *group, char *text, size_t size)
{
    const void *member = (const char *)group + info->offset;
    struct out out = {text, size, 0};
    text[0] = '\0';
    switch (info->kind) {
    case CONFIG_KIND_BOOL:
        put(&out, "%s", *(const bool *)member ? "true" : "false");
        return;
    case CONFIG_KIND_INT:
    case CONFIG_KIND_REAL:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_BYTES:
        put_number(&out, info, member);
        return;
    case CONFIG_KIND_STRING:
        put_string(&out, *(const char *const *)member);
        return;
    case CONFIG_KIND_STRINGS: {
        const struct config_strings *strings = member;
        /* Tokens of model hubs stand in environments: names are shown, values are not. */
        bool secret = strcmp(info->key, "env") == 0;
        put(&out, "[ ");
        for (uint32_t i = 0; i < strings->count; i++) {
            put(&out, "%s", i ? ", " : "");
            if (secret) {
                put(&out, "\"%.*s...\"", (int)strcspn(strings->item[i], "=") + 1, strings->item[i]);
            } else {
                put_string(&out, strings->item[i]);
            }
        }
        put(&out, " ]");
        return;
    }
    case CONFIG_KIND_ENUM:
        put_choice(&out, info->unit, *(const uint32_t *)member);
        return;
    case CONFIG_KIND_TIERS: {
        const struct config_tiers *tiers = member;
        put(&out, "[ ");
        for (uint32_t i = 0; i < tiers->count; i++) {
            put(&out, "%s\"%s\"", i ? ", " : "", config_tier_name(tiers->tier[i]));
        }
        put(&out, " ]");
        return;
    }
    case CONFIG_KIND_MEMORY:
        put_memory(&out, member, config_unit_scale(info->unit));
        return;
    case CONFIG_KIND_PLACEMENTS: {
        const struct config_placements *placements = member;
        put(&out, "( ");
        for (uint32_t i = 0; i < placements->count; i++) {
            put(&out, "%s[ \"%s\" ]", i ? ", " : "",
                config->devices[placements->item[i].device].name);
        }
        put(&out, " )");
        return;
    }
    case CONFIG_KIND_PARAMS:
        put_params(&out, member);
        return;
    }
}

typedef void each_fn(void *context, const char *path, const char *value, uint32_t line);

static void each_of(const struct config *config, enum config_group_id id, const char *prefix,
                    const void *group, each_fn *each, void *context)
{
    for (size_t i = 0; i < config_groups[id].info_count; i++) {
        const struct config_info *info = &config_groups[id].info[i];
        char path[256], value[VALUE_BYTES_MAX];
        (void)snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] ? "." : "", info->key);
        config_format_value(config, info, group, value, sizeof value);
        each(context, path, value, config_line(config, path));
    }
}

void config_each(const struct config *config, each_fn *each, void *context)
{
    char prefix[64];
    each_of(config, CONFIG_GROUP_TOP, "", config, each, context);
    for (uint32_t i = 0; i < config->device_count; i++) {
        (void)snprintf(prefix, sizeof prefix, "devices[%u]", i);
        each_of(config, CONFIG_GROUP_DEVICE, prefix, &config->devices[i], each, context);
    }
    each_of(config, CONFIG_GROUP_POLICY, "policy", &config->policy, each, context);
    for (uint32_t i = 0; i < config->model_count; i++) {
        (void)snprintf(prefix, sizeof prefix, "models[%u]", i);
        each_of(config, CONFIG_GROUP_MODEL, prefix, &config->models[i], each, context);
        if (config->models[i].engine == CONFIG_ENGINE_EMULATED) {
            (void)snprintf(prefix, sizeof prefix, "models[%u].emulate", i);
            each_of(config, CONFIG_GROUP_EMULATE, prefix, &config->models[i].emulate, each,
                    context);
        }
    }
    for (uint32_t i = 0; i < config->cell_count; i++) {
        (void)snprintf(prefix, sizeof prefix, "cells[%u]", i);
        each_of(config, CONFIG_GROUP_CELL, prefix, &config->cells[i], each, context);
        (void)snprintf(prefix, sizeof prefix, "cells[%u].policy", i);
        each_of(config, CONFIG_GROUP_POLICY, prefix, &config->cells[i].policy, each, context);
    }
    each_of(config, CONFIG_GROUP_LIMITS, "limits", &config->limits, each, context);
    each_of(config, CONFIG_GROUP_GUARD, "guard", &config->guard, each, context);
    each_of(config, CONFIG_GROUP_ADMIN, "admin", &config->admin, each, context);
    each_of(config, CONFIG_GROUP_JOURNAL, "journal", &config->journal, each, context);
}
