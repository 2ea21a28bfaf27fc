/* docs/SCENARIOS.md: what a scenario may say, printed from the tables that read it. */
#include "sim/scenario_priv.h"

#include <string.h>

static const char head[] =
    "# Scenarios\n"
    "\n"
    "A scenario is a YAML file that says what `shunt sim` simulates: devices, models and their "
    "engines, what switches cost, who asks for what when. Policies and seeds are not in it: they "
    "are given on the command line, so that one file compares many. Printed by `shunt help "
    "--scenarios` from the tables that read scenarios; a test fails when this file is stale.\n"
    "\n"
    "The smallest one that is of use, two models on one device:\n"
    "\n"
    "```yaml\n"
    "devices: [{name: gpu0, memory_gib: 24}]\n"
    "models:\n"
    "  - {name: chat,  memory_gib: 16, max_concurrency: 1, service: {kind: serial}}\n"
    "  - {name: coder, memory_gib: 20, max_concurrency: 1, service: {kind: serial}}\n"
    "switch: {matrix_s: [[0, 8], [5, 0]]}\n"
    "arrivals:\n"
    "  - {kind: poisson, model: chat,  rate_per_s: 0.20, service_s: {dist: exponential, mean: 2}}\n"
    "  - {kind: poisson, model: coder, rate_per_s: 0.05, service_s: {dist: exponential, mean: 4}}\n"
    "requests: 20000\n"
    "```\n"
    "\n"
    "```\n"
    "shunt sim two.yaml --policy fifo,amortized\n"
    "```\n"
    "\n"
    "One that says much more:\n"
    "\n"
    "```yaml\n"
    "scenario: evening\n"
    "label: semi                   # arrivals of one model are a real trace, the others drawn\n"
    "devices:\n"
    "  - {name: gpu0, memory_gib: 80}\n"
    "host_memory_gib: 96           # of all weights that sleep together\n"
    "models:\n"
    "  - name: conv\n"
    "    memory_gib: {resident: 15, asleep: 1}\n"
    "    max_concurrency: 32       # in flight at a time; the others wait in the queue\n"
    "    # Continuous batching: a prefill takes p0 + p1 tokens, a step of the batch d0 + d1 b + "
    "d2\n"
    "    # contexts. These figures are a 7B model on an H800.\n"
    "    service: {kind: batch, p0_s: .00549, p1_s: 22.9e-6, d0_s: .00845, d1_s: 107e-6, d2_s: "
    "44e-9}\n"
    "  - name: image\n"
    "    memory_gib: 70\n"
    "    max_concurrency: 1\n"
    "    max_wait_s: 3600          # a model may override what limits says\n"
    "    service: {kind: serial}   # one after the other, each for its service_s\n"
    "  - name: rerank\n"
    "    memory_gib: 30\n"
    "    max_concurrency: unlimited\n"
    "    service: {kind: ps, rate: 2}\n"
    "switch:\n"
    "  per_model:\n"
    "    conv:   {sleep_s: 0.8, wake_s: 1.0, probe_s: 0.1}\n"
    "    image:  {sleep_s: 2.0, wake_s: 3.5}\n"
    "    rerank: {sleep_s: 1.0, wake_s: 1.5}\n"
    "  tiers:                      # the first is where models go; the others are colder\n"
    "    asleep:  {out_s: 1, in_s: 2}\n"
    "    stopped: {in_s: 40}\n"
    "  distribution: {dist: lognormal, sigma: 0.2}\n"
    "  fail_probability: 0.001\n"
    "  late: {probability: 0.002, factor: 10}\n"
    "arrivals:\n"
    "  - {kind: trace, file: azure_llm_2023_conv.csv.zst, format: azure-llm-2023, model: conv, "
    "stretch: 2}\n"
    "  - {kind: poisson, model: image, rate_per_s: 0.004, service_s: {dist: lognormal, mean: 26.6, "
    "cv: 0.7}}\n"
    "  - {kind: poisson, model: rerank, rate_per_s: 0.1, service_s: {dist: exponential, mean: 1}}\n"
    "initial: {gpu0: conv}\n"
    "horizon_s: 7200               # arrivals end; what is there by then is served to its end\n"
    "warmup: {arrivals_fraction: 0.05, visits: 20}\n"
    "limits:\n"
    "  queue_per_model: 10000\n"
    "  max_wait_s: none\n"
    "  patience: {dist: exponential, mean: 600}\n"
    "guard: {visit_cap_s: 300, drain_s: 120}\n"
    "faults:\n"
    "  - {at_s: 3000, kind: engine_lost, model: conv}\n"
    "```\n"
    "\n";

static const char rules[] =
    "## How it is read\n"
    "\n"
    "* Keys, ranges and defaults of devices, models, limits and guard are those of shunt.cfg "
    "([CONFIGURATION.md](CONFIGURATION.md)), from the same table, and the core is configured from "
    "them as by the host. A key that means nothing without real engines and clients is not taken "
    "here.\n"
    "* That holds for limits too, and for `guard: off`: unless the file says otherwise a request "
    "waits for 900 s at most (`max_wait_s`), is refused if it would wait for longer "
    "(`reject_hopeless`), and fails after 300 s of service (`service_limit_s`). A scenario that is "
    "to be compared with theory sets `max_wait_s: none` and `service_limit_s: none`.\n"
    "* An unknown key, a value out of range, a name that stands for nothing: an error with file, "
    "line, column, key and reason, and nothing is simulated. Anchors, aliases and tags of YAML are "
    "not taken: what a reader sees is what is read.\n"
    "* Units stand in the key. Durations are kept in whole nanoseconds, coefficients of engines in "
    "picoseconds.\n"
    "* Files that a scenario names are looked for beside it, then in the folder `$SHUNT_TRACES`.\n"
    "* Random numbers are keyed by what they are for (the request, the k-th switch of a pair), not "
    "by the order of drawing: with one seed all policies meet the same requests and the same "
    "switch times.\n";

/* What stands in one section: keys of scenario.def, settings of shunt.cfg, or both. */
struct section {
    const char *title;
    const char *group;    /* of scenario.def; NULL: none */
    const char *settings; /* path in settings.def; NULL: none */
    const char *text;     /* before the table; NULL: that of the group */
};

static const struct section sections[] = {
    {"Top level", "", "", NULL},
    {"devices[]", NULL, "devices[]", "What models take turns on, at least one."},
    {"models[]", "models[]", "models[]",
     "At least one. A model without arrivals is legal: switches to it are."},
    {"models[].service", "models[].service", NULL, NULL},
    {"arrivals[]", NULL, NULL, NULL},
    {"switch", "switch", NULL, NULL},
    {"switch.per_model.MODEL", "switch.per_model.MODEL", NULL, NULL},
    {"switch.profile", "switch.profile", NULL, NULL},
    {"switch.tiers.TIER", "switch.tiers.TIER", NULL, NULL},
    {"switch.distribution", "switch.distribution", NULL, NULL},
    {"switch.host_cache", "switch.host_cache", NULL, NULL},
    {"switch.late", "switch.late", NULL, NULL},
    {"limits", "limits", "limits",
     "How much is accepted, and how long anything may take. `none` is no limit."},
    {"guard", NULL, "guard",
     "`guard: default`, `guard: off`, or a mapping. `off` is for scenarios alone: nothing limits a "
     "visit, a switch or an answer, results say `guarded: false`, and no bound is given."},
    {"warmup", "warmup", NULL, NULL},
    {"faults[]", "faults[]", NULL, NULL},
};

/* Where a scenario differs from a host. */
static const struct config_yaml_row rows[] = {
    {"", "host_memory_gib", NULL, NULL,
     "Budget for all weights held in host memory together. auto: no limit."},
    {"devices[]", "memory_gib", "number, 0.001 to 65536 GiB", NULL,
     "Memory that models may fill, those that sleep included."},
    {"models[]", "name", NULL, NULL, "Printable ASCII without space and quotes."},
    {"models[]", "placements", NULL, NULL,
     "The same as a list of device sets, [[gpu0], [gpu1]]; this version takes one device a set."},
    {"models[]", "memory_gib", "number, or mapping of numbers by tier; GiB", NULL,
     "Device memory: {resident: 19.5, asleep: 1.4} by tier, or a number for resident alone. Tiers "
     "not named hold none."},
    {"models[]", "host_memory_gib", "number, or mapping of numbers by tier; GiB", NULL, NULL},
    {"models[]", "tiers", NULL, "those of switch.tiers, else stopped",
     "Tiers the model may be moved out to, preferred first."},
    {"models[]", "max_concurrency", "whole number, 1 to 65536 requests, or unlimited", NULL, NULL},
    {"limits", "queued_max", NULL, "what all queues hold", NULL},
    {"limits", "in_flight_max", NULL, "what all engines serve", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static const char tail[] =
    "\n## A scenario of a host\n"
    "\n"
    "`shunt sim --from-config shunt.cfg --arrivals ARRIVALS.yaml` simulates a host: devices, "
    "models, limits "
    "and "
    "guard are those of its file, which must have one cell and no \"auto\" in memory. Engines work "
    "as `models[].emulate` says, whatever their driver: `ttft_ms` for a prefill, `token_ms` (1 + "
    "`batch_slope` (b - 1)) for a step of b requests; switches take `sleep_s`, `wake_s`, "
    "`reload_s` "
    "and `load_s`. ARRIVALS.yaml has `arrivals` and, if wanted, other keys of this page that "
    "shunt.cfg has not; `switch` there replaces the emulator's times, `guard` takes `off` alone.\n";

static void print_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|') {
            (void)fputc('\\', out);
        }
        (void)fputc(*text, out);
    }
}

static void describe(const struct scenario_key *key, char *text, size_t size)
{
    const char *gap = key->unit[0] ? " " : "";
    switch (key->kind) {
    case SCENARIO_KEY_TEXT:
        (void)snprintf(text, size, "text");
        return;
    case SCENARIO_KEY_CHOICE:
        (void)snprintf(text, size, "one of %s", key->unit);
        return;
    case SCENARIO_KEY_REAL:
    case SCENARIO_KEY_TIME:
    case SCENARIO_KEY_PICO:
        (void)snprintf(text, size, "number, %g to %.9g%s%s", key->min, key->max, gap, key->unit);
        return;
    case SCENARIO_KEY_INT:
        (void)snprintf(text, size, "whole number, %.0f to %.0f%s%s", key->min, key->max, gap,
                       key->unit);
        return;
    case SCENARIO_KEY_TIMES:
        (void)snprintf(text, size, "list%s of numbers, %g to %.9g s",
                       strcmp(key->key, "matrix_s") == 0 ? " of lists" : "", key->min, key->max);
        return;
    case SCENARIO_KEY_MODEL:
        (void)snprintf(text, size, "name of a model");
        return;
    case SCENARIO_KEY_DEVICE:
        (void)snprintf(text, size, "name of a device");
        return;
    case SCENARIO_KEY_DIST:
        (void)snprintf(text, size, "distribution, in %s", key->unit);
        return;
    case SCENARIO_KEY_MAP:
        (void)snprintf(text, size, "mapping");
        return;
    case SCENARIO_KEY_LIST:
        (void)snprintf(text, size, "list of up to %.0f", key->max);
        return;
    }
}

static void print_keys(FILE *out, const char *group)
{
    for (size_t i = 0; i < scenario_key_count; i++) {
        const struct scenario_key *key = &scenario_keys[i];
        if (strcmp(key->group, group) != 0) {
            continue;
        }
        char text[160];
        describe(key, text, sizeof text);
        (void)fprintf(out, "| `%s` | ", key->key);
        print_cell(out, text);
        (void)fprintf(out, " | %s | ",
                      !key->value     ? "required"
                      : key->value[0] ? key->value
                                      : "none");
        print_cell(out, key->doc);
        (void)fputs(" |\n", out);
    }
}

static const char *group_doc(const char *group)
{
    for (size_t i = 0; i < scenario_group_count; i++) {
        if (strcmp(scenario_groups[i].group, group) == 0) {
            return scenario_groups[i].doc;
        }
    }
    return "";
}

static void print_section(FILE *out, const struct section *section)
{
    (void)fprintf(out, "\n## %s\n\n", section->title);
    if (!section->group && !section->settings) {
        (void)fputs(
            "A list of sources, merged by time; at one instant in the order of the list.\n\n", out);
        arrivals_print_manual(out);
        return;
    }
    const char *text = section->text ? section->text : group_doc(section->group);
    (void)fprintf(out, "%s%s| key | value | default | meaning |\n|---|---|---|---|\n", text,
                  text[0] ? "\n\n" : "");
    if (section->group) {
        print_keys(out, section->group);
    }
    if (section->settings) {
        config_print_core(out, section->settings, rows);
    }
}

void scenario_print_manual(FILE *out)
{
    (void)fputs(head, out);
    (void)fputs(rules, out);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        print_section(out, &sections[i]);
    }
    (void)fputs(tail, out);
}
