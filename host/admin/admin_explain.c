/* The verb explain: where a request's wait went, or what was behind a decision. */
#include "host/admin/admin_priv.h"

#include "host/words.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DECISIONS_SHOWN_MAX = 64, WHY_BITS = 17 };

static json_t *scores_json(const struct cell *cell, const struct cell_decision *d)
{
    json_t *scores = json_object();
    for (uint32_t i = 0; i < d->score_count && i < sizeof d->scores / sizeof d->scores[0]; i++) {
        if (isfinite(d->scores[i]) && i < cell_model_count(cell)) {
            (void)json_object_set_new(scores, cell_model_name(cell, i), json_real(d->scores[i]));
        }
    }
    return scores;
}

/* base_ns: what at_s counts from. */
static json_t *decision_json(const struct cell *cell, const struct cell_decision *d,
                             int64_t base_ns)
{
    json_t *why = json_array();
    for (uint32_t bit = 0; bit < WHY_BITS; bit++) {
        if (d->why & (UINT32_C(1) << bit)) {
            (void)json_array_append_new(why, json_string(words_why(bit)));
        }
    }
    json_t *text = json_stringn(d->text, strnlen(d->text, sizeof d->text));
    return json_pack("{s:I, s:o, s:s, s:s, s:o, s:s, s:i, s:s, s:o, s:o, s:o, s:o}", "decision",
                     (json_int_t)d->id, "at_s", admin_seconds(d->t_ns - base_ns), "policy",
                     d->policy, "action", words_action(d->action), "model",
                     admin_text_or_null(d->model), "reason", words_reason(d->reason), "reason_code",
                     (int)d->reason, "verdict", words_verdict(d->verdict), "why", why, "scores",
                     scores_json(cell, d), "propensity",
                     isfinite(d->propensity) ? json_real(d->propensity) : json_null(), "text",
                     text ? text : json_null());
}

static json_t *decisions_json(struct cell *cell, const struct cell_explain *e, int64_t until_ns)
{
    json_t *list = json_array();
    struct cell_decision *found = calloc(DECISIONS_SHOWN_MAX, sizeof *found);
    size_t count =
        found ? cell_decisions(cell, e->arrival_ns, until_ns, found, DECISIONS_SHOWN_MAX) : 0;
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, decision_json(cell, &found[i], e->arrival_ns));
    }
    free(found);
    return list;
}

static void explain_request(struct admin_call *call, struct cell *cell, uint64_t id,
                            const char *name)
{
    struct cell_explain e;
    int rc = cell_explain_request(cell, id, &e);
    if (rc) {
        admin_refuse(call, 404, "the request %s is not known any more", name);
        return;
    }
    int64_t wait_ns = 0;
    json_t *parts = json_object();
    for (uint32_t i = 0; i < CORE_WAIT_COUNT; i++) {
        wait_ns += e.wait_ns[i];
        (void)json_object_set_new(parts, words_wait(i), json_integer(e.wait_ns[i]));
    }
    const char *state = e.end_ns        ? words_outcome(e.outcome)
                        : e.dispatch_ns ? "in_flight"
                                        : "queued";
    int64_t until = e.dispatch_ns ? e.dispatch_ns : e.end_ns ? e.end_ns : cell_now_ns(cell);
    json_t *answer = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:i}", "request", name, "model",
        e.model, "state", state, "policy", e.policy, "policy_hash", e.policy_hash, "wait_ns",
        (json_int_t)wait_ns, "wait_parts_ns", parts, "position",
        e.position == CORE_NONE ? json_null() : json_integer(e.position + 1), "first_token_s",
        e.first_token_ns ? admin_seconds(e.first_token_ns - e.arrival_ns) : json_null(), "end_s",
        e.end_ns ? admin_seconds(e.end_ns - e.arrival_ns) : json_null(), "decisions",
        decisions_json(cell, &e, until), "output_tokens", (int)e.output_tokens);
    admin_answer(call, answer);
}

static void explain_decision(struct admin_call *call, const char *text)
{
    struct cell *cell = admin_cell(call);
    if (!cell) {
        return;
    }
    char *end;
    errno = 0;
    uint64_t id = strcmp(text, "last") == 0 ? 0 : strtoull(text, &end, 10);
    struct cell_decision decision;
    if (errno || cell_explain_decision(cell, id, &decision)) {
        admin_refuse(call, 404, "the decision %s is not known any more", text);
        return;
    }
    json_t *answer = decision_json(cell, &decision, cell_now_ns(cell));
    char words[4096];
    int len = cell_policy_explain(cell, decision.id, words, sizeof words);
    json_t *own = len > 0 ? json_stringn(words, (size_t)len) : NULL;
    (void)json_object_set_new(answer, "policy_says", own ? own : json_null());
    admin_answer(call, answer);
}

void admin_explain(struct admin_call *call)
{
    const char *what;
    struct cell *cell;
    uint64_t id;
    if (!admin_text(call, "id", true, &what)) {
        return;
    }
    if (strcmp(what, "last") == 0 || (what[0] && strspn(what, "0123456789") == strlen(what))) {
        explain_decision(call, what);
        return;
    }
    int rc = worker_request_find(call->admin->worker, span_of_string(what), &cell, &id);
    if (rc) {
        admin_refuse(call, rc == -EINVAL ? 400 : 404,
                     rc == -EINVAL
                         ? "\"%s\" is neither a request (x-shunt-request) nor a decision's number"
                         : "the request %s is of another run or not known any more",
                     what);
        return;
    }
    explain_request(call, cell, id, what);
}
