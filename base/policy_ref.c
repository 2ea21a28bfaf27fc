/*
 * Takes policy references apart. It opens nothing and looks nothing up.
 */
#include "base/policy_ref.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes up to the first of `stops` outside brackets, or to the end. */
static size_t span_until(const char *text, const char *stops)
{
    unsigned depth = 0;
    size_t i = 0;
    for (; text[i]; i++) {
        if (text[i] == '[') {
            depth++;
        } else if (text[i] == ']' && depth > 0) {
            depth--;
        } else if (depth == 0 && strchr(stops, text[i])) {
            break;
        }
    }
    return i;
}

static bool ends_with_so(const char *text)
{
    size_t length = strlen(text);
    return length > 3 && strcmp(text + length - 3, ".so") == 0;
}

static int check_target(const struct policy_ref *ref, char *err, size_t err_size)
{
    const char *name = ref->target;
    if (name[0] == '\0') {
        (void)snprintf(err, err_size,
                       "\"%.100s\" names no policy; wants NAME|PATH.so[@VALUES.yaml][:K=V]...",
                       ref->text);
        return -EINVAL;
    }
    if (ref->is_path) {
        if (!ends_with_so(name)) {
            (void)snprintf(err, err_size, "\"%.100s\": the path of a policy ends in .so", name);
            return -EINVAL;
        }
        return 0;
    }
    if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") !=
        strlen(name)) {
        (void)snprintf(err, err_size,
                       "\"%.100s\" is not the name of a policy; a path holds \"/\" or ends in .so",
                       name);
        return -EINVAL;
    }
    return 0;
}

/* Counts the ":" that begin a parameter. */
static size_t count_assignments(const char *text)
{
    size_t count = 0;
    for (size_t at = span_until(text, ":"); text[at]; at += 1 + span_until(text + at + 1, ":")) {
        count++;
    }
    return count;
}

static int split(struct policy_ref *ref, char *work, struct param_assignment *set, char *err,
                 size_t err_size)
{
    char *rest = work + span_until(work, ":");
    char *at = memchr(work, '@', (size_t)(rest - work));
    ref->target = work;
    while (*rest) {
        *rest = '\0';
        char *one = rest + 1;
        rest = one + span_until(one, ":");
        char ended = *rest;
        *rest = '\0';
        int result = param_assignment_split(one, &set[ref->set_count], err, err_size);
        if (result) {
            return result;
        }
        ref->set_count++;
        *rest = ended;
    }
    if (at) {
        *at = '\0';
        ref->values = at + 1;
        if (ref->values[0] == '\0' || strchr(ref->values, '@')) {
            (void)snprintf(err, err_size, "\"%.100s\": wants one values file after \"@\"",
                           ref->text);
            return -EINVAL;
        }
    }
    ref->set = set;
    ref->is_path = strchr(ref->target, '/') != NULL || ends_with_so(ref->target);
    return check_target(ref, err, err_size);
}

static int parse_span(const char *text, size_t length, struct policy_ref *ret_ref, char *err,
                      size_t err_size)
{
    if (length > POLICY_REF_BYTES_MAX) {
        (void)snprintf(err, err_size, "a policy reference is longer than %d bytes",
                       POLICY_REF_BYTES_MAX);
        return -EINVAL;
    }
    /* The assignments stand before the two copies of the text, one of which is cut up. */
    char *probe = strndup(text, length);
    size_t count = probe ? count_assignments(probe) : 0;
    free(probe);
    if (count > POLICY_REF_SET_MAX) {
        (void)snprintf(err, err_size, "a policy reference sets more than %d parameters",
                       POLICY_REF_SET_MAX);
        return -EINVAL;
    }
    size_t head = count * sizeof(struct param_assignment);
    char *memory = probe ? calloc(1, head + 2 * (length + 1)) : NULL;
    if (!memory) {
        (void)snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    char *whole = memory + head, *work = whole + length + 1;
    memcpy(whole, text, length);
    memcpy(work, text, length);
    struct policy_ref ref = {.text = whole, .memory = memory};
    int result = split(&ref, work, (struct param_assignment *)(void *)memory, err, err_size);
    if (result) {
        free(memory);
        return result;
    }
    *ret_ref = ref;
    return 0;
}

int policy_ref_parse(const char *text, struct policy_ref *ret_ref, char *err, size_t err_size)
{
    size_t length = strlen(text);
    if (span_until(text, ",") != length) {
        (void)snprintf(
            err, err_size,
            "\"%.100s\" names several policies; one is wanted (parameters are separated by "
            "\":\")",
            text);
        return -EINVAL;
    }
    return parse_span(text, length, ret_ref, err, err_size);
}

void policy_ref_fini(struct policy_ref *ref)
{
    free(ref->memory);
    *ref = (struct policy_ref){.text = NULL};
}

int policy_refs_parse(const char *text, struct policy_refs *ret_refs, char *err, size_t err_size)
{
    struct policy_refs refs = {.item = calloc(POLICY_REFS_MAX, sizeof *refs.item)};
    if (!refs.item) {
        (void)snprintf(err, err_size, "out of memory");
        return -ENOMEM;
    }
    int result = 0;
    for (const char *at = text; result == 0;) {
        size_t length = span_until(at, ",");
        if (refs.count == POLICY_REFS_MAX) {
            (void)snprintf(err, err_size, "names more than %d policies", POLICY_REFS_MAX);
            result = -EINVAL;
            break;
        }
        result = parse_span(at, length, &refs.item[refs.count], err, err_size);
        refs.count += result == 0;
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    if (result) {
        policy_refs_fini(&refs);
        return result;
    }
    *ret_refs = refs;
    return 0;
}

void policy_refs_fini(struct policy_refs *refs)
{
    for (uint32_t i = 0; i < refs->count; i++) {
        policy_ref_fini(&refs->item[i]);
    }
    free(refs->item);
    *refs = (struct policy_refs){.item = NULL};
}
