/* Declarations, typed text, layered values, and the printed schema. */
#include "base/params.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OVERHEAD, WEIGHT, LIMIT, PERIOD, MODE, ON, CURVE, COUNT };

static const char *const modes[] = {"plain", "fancy"};
static const struct shunt_param_info infos[COUNT] = {
    SHUNT_DECLARE_REAL(1, "overhead_target",
                       SHUNT_PARAM_LIVE | SHUNT_PARAM_TUNE | SHUNT_PARAM_LOG_SCALE, 0.10, 0.01,
                       0.50, "ratio",
                       "Share of device time that switching may take under saturation. Lower: "
                       "longer visits, fewer switches, longer waits for the others."),
    SHUNT_DECLARE_REAL(2, "weight",
                       SHUNT_PARAM_LIVE | SHUNT_PARAM_PER_MODEL | SHUNT_PARAM_LOG_SCALE, 1.0, 0.1,
                       10, "ratio", "Importance of one waiting request of this model."),
    SHUNT_DECLARE_INT(3, "limit", SHUNT_PARAM_LIVE, 8, -5, 100, "requests", "A \"limit\"."),
    SHUNT_DECLARE_DURATION(4, "period", SHUNT_PARAM_LIVE | SHUNT_PARAM_HIDDEN, 2.5, 0, 3600,
                           "A period."),
    SHUNT_DECLARE_ENUM(5, "mode", 0, 1, modes, "A mode."),
    SHUNT_DECLARE_BOOL(6, "on", SHUNT_PARAM_LIVE, 1, "A switch."),
    SHUNT_DECLARE_VECTOR(7, "curve", SHUNT_PARAM_LIVE, 3, 0.5, 0, 1, "", "A curve."),
};
static const struct shunt_param_constraint constraints[] = {
    {sizeof(struct shunt_param_constraint), PERIOD, LIMIT, 0, 0.5, "the period must fit"},
};
static const struct shunt_plugin plugin = {.abi_major = 1,
                                           .id = "amortized",
                                           .version = "1.0.0",
                                           .state_schema = 1,
                                           .summary = "Stay: long enough.",
                                           .params = infos,
                                           .param_count = COUNT,
                                           .param_stride = sizeof infos[0],
                                           .constraints = constraints,
                                           .constraint_count = 1,
                                           .constraint_stride = sizeof constraints[0]};
static const char *const models[] = {"a", "b:7b[x]", "c"};

static struct params_schema schema;
static char err[256];

static int setup(void **state)
{
    (void)state;
    return params_schema_init(&schema, &plugin, err, sizeof err);
}

static int set(struct params *params, const char *text, enum param_origin origin)
{
    char copy[256];
    struct param_assignment given;
    (void)snprintf(copy, sizeof copy, "%s", text);
    int rc = param_assignment_split(copy, &given, err, sizeof err);
    return rc ? rc : params_apply(params, &given, 1, origin, false, err, sizeof err);
}

static double real(const struct params *params, uint32_t index, uint32_t model)
{
    return shunt_param_real(params_view(params), index, model);
}

static int64_t integer(const struct params *params, uint32_t index)
{
    return shunt_param_integer(params_view(params), index, 0);
}

static void test_declarations(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        struct shunt_param_info info;
    } cases[] = {
        {"not [a-z]", SHUNT_DECLARE_INT(1, "Bad", 0, 0, 0, 1, "", "")},
        {"outside", SHUNT_DECLARE_REAL(1, "x", 0, 2, 0, 1, "", "")},
        {"outside", SHUNT_DECLARE_REAL(1, "x", 0, (double)NAN, 0, 1, "", "")},
        {"not a range", SHUNT_DECLARE_REAL(1, "x", 0, 0, 1, 0, "", "")},
        {"not a range", SHUNT_DECLARE_REAL(1, "x", 0, 0, 0, HUGE_VAL, "", "")},
        {"whole numbers", SHUNT_DECLARE_INT(1, "x", 0, 0.5, 0, 1, "", "")},
        {"logarithmic", SHUNT_DECLARE_REAL(1, "x", SHUNT_PARAM_LOG_SCALE, 0, 0, 1, "", "")},
        {"unknown flags", SHUNT_DECLARE_REAL(1, "x", 1u << 20, 0, 0, 1, "", "")},
        {"unknown type", SHUNT_DECLARE_(1, "x", 77, 0, 0, 0, 1, "", "", NULL, 0, 0)},
        {"choices", SHUNT_DECLARE_(1, "x", SHUNT_PARAM_ENUM, 0, 0, 0, 1, "", "", NULL, 0, 0)},
        {"vector_len", SHUNT_DECLARE_VECTOR(1, "x", 0, 17, 0, 0, 1, "", "")},
        {"per model", SHUNT_DECLARE_VECTOR(1, "x", SHUNT_PARAM_PER_MODEL, 2, 0, 0, 1, "", "")},
        {"beyond", SHUNT_DECLARE_DURATION(1, "x", 0, 0, 0, 1e12, "")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shunt_plugin bad = {
            .params = &cases[i].info, .param_count = 1, .param_stride = sizeof cases[i].info};
        struct params_schema out;
        assert_int_equal(params_schema_init(&out, &bad, err, sizeof err), -EINVAL);
        if (!strstr(err, cases[i].words)) {
            fail_msg("case %zu: %s", i, err);
        }
    }
    const struct shunt_param_info twice[2] = {SHUNT_DECLARE_INT(1, "x", 0, 0, 0, 1, "", ""),
                                              SHUNT_DECLARE_INT(1, "y", 0, 0, 0, 1, "", "")};
    struct shunt_plugin bad = {.params = twice, .param_count = 2, .param_stride = sizeof twice[0]};
    struct params_schema out;
    assert_int_equal(params_schema_init(&out, &bad, err, sizeof err), -EINVAL);
    assert_non_null(strstr(err, "one id"));
    bad.param_count = PARAMS_MAX + 1;
    assert_int_equal(params_schema_init(&out, &bad, err, sizeof err), -EINVAL);
    assert_int_equal(params_schema_find(&schema, "mode"), MODE);
    assert_int_equal(params_schema_find(&schema, "none"), -ENOENT);
}

static void test_defaults(void **state)
{
    (void)state;
    struct params *params = NULL;
    assert_int_equal(params_create(&schema, models, 3, &params), 0);
    assert_true(real(params, OVERHEAD, 0) == 0.10);
    assert_int_equal(integer(params, PERIOD), 2500000000);
    assert_int_equal(integer(params, MODE), 1);
    assert_int_equal(integer(params, ON), 1);
    assert_int_equal(params_view(params)->values[WEIGHT].count, 3);
    assert_int_equal(params_view(params)->values[CURVE].count, 3);
    assert_null(params_view(params)->values[WEIGHT].integer);
    assert_null(params_view(params)->values[LIMIT].real);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(params_view(params)->values[i].changed, 1);
        assert_int_equal(params_origin(params, i, 0), PARAM_ORIGIN_DEFAULT);
    }
    params_destroy(params);

    assert_int_equal(params_create(&schema, NULL, 0, &params), 0);
    assert_int_equal(params_view(params)->values[WEIGHT].count, 0);
    assert_true(real(params, WEIGHT, 0) == 1.0); /* still something to read */
    params_destroy(params);
}

static void test_text(void **state)
{
    (void)state;
    struct params *params = NULL;
    assert_int_equal(params_create(&schema, models, 3, &params), 0);
    static const char *const bad[] = {
        "overhead_target=nan",
        "overhead_target=inf",
        "overhead_target=0.6",
        "overhead_target=",
        "overhead_target=0x1p-4",
        "overhead_target=0.1 ",
        "limit=1.5",
        "limit=101",
        "limit=-6",
        "mode=Plain",
        "on=1",
        "on=yes",
        "curve=[0.1 0.2]",
        "curve=[0.1,0.2,0.3,0.4]",
        "curve=[0.1 0.2 0.3",
        "curve=0.1 0.2 nan",
        "curve=[0.1 0.2 1.3]",
        "curve=[0.1 0.2 0.3]x",
        "period=-1",
        "period=2s",
        "limit[a]=3",
        "weight[]=3",
        "=3",
        "weight",
        "weight[a=3",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (set(params, bad[i], PARAM_ORIGIN_SET) != -EINVAL) {
            fail_msg("%s was taken", bad[i]);
        }
    }
    assert_int_equal(set(params, "unheard_of=1", PARAM_ORIGIN_SET), -ENOENT);
    assert_non_null(strstr(err, "known: overhead_target, weight"));
    assert_int_equal(set(params, "overhead_target=1e-1", PARAM_ORIGIN_SET), 0);
    assert_int_equal(set(params, "limit=-5", PARAM_ORIGIN_SET),
                     -EINVAL); /* constraint: 2.5 <= ... */
    assert_non_null(strstr(err, "the period must fit"));
    assert_int_equal(set(params, "period=0.000000001", PARAM_ORIGIN_SET), 0);
    assert_int_equal(integer(params, PERIOD), 1);
    assert_int_equal(set(params, "mode=plain", PARAM_ORIGIN_SET), 0);
    assert_int_equal(integer(params, MODE), 0);
    assert_int_equal(set(params, "curve=0.1, 0.2 0.3", PARAM_ORIGIN_SET), 0);
    assert_true(params_view(params)->values[CURVE].real[2] == 0.3);
    assert_int_equal(set(params, "weight[b:7b[x]]=2.5", PARAM_ORIGIN_SET), 0);
    assert_true(real(params, WEIGHT, 1) == 2.5 && real(params, WEIGHT, 0) == 1);
    char text[64];
    assert_int_equal(params_format(params, WEIGHT, 1, text, sizeof text), 0);
    assert_string_equal(text, "2.5");
    assert_int_equal(params_format(params, CURVE, 0, text, sizeof text), 0);
    assert_string_equal(text, "[0.1, 0.2, 0.3]");
    assert_int_equal(params_format(params, CURVE, 0, text, 5), -ENOSPC);
    params_destroy(params);
}

static void test_layers(void **state)
{
    (void)state;
    struct params *params = NULL;
    assert_int_equal(params_create(&schema, models, 3, &params), 0);
    assert_int_equal(set(params, "weight[a]=4", PARAM_ORIGIN_SET), 0);
    assert_int_equal(set(params, "weight=2", PARAM_ORIGIN_VALUES), 0);
    assert_int_equal(set(params, "weight[c]=3", PARAM_ORIGIN_VALUES), 0);
    assert_int_equal(set(params, "weight[gone]=5", PARAM_ORIGIN_VALUES), 0);
    assert_true(real(params, WEIGHT, 0) == 4); /* set is stronger though older */
    assert_true(real(params, WEIGHT, 1) == 2 && real(params, WEIGHT, 2) == 3);
    assert_int_equal(params_origin(params, WEIGHT, 0), PARAM_ORIGIN_SET);
    assert_int_equal(params_origin(params, WEIGHT, 1), PARAM_ORIGIN_VALUES);
    assert_string_equal(param_origin_name(params_origin(params, LIMIT, 0)), "default");

    assert_int_equal(set(params, "weight=6", PARAM_ORIGIN_CONFIG), 0);
    assert_true(real(params, WEIGHT, 0) == 4 && real(params, WEIGHT, 2) == 6);
    assert_int_equal(params_clear(params, PARAM_ORIGIN_CONFIG, false, err, sizeof err), 0);
    assert_true(real(params, WEIGHT, 2) == 3);
    assert_int_equal(set(params, "weight=7", PARAM_ORIGIN_SET), 0); /* for all: drops a's */
    assert_true(real(params, WEIGHT, 0) == 7);

    static const char *const fewer[] = {"gone", "c"};
    assert_int_equal(params_clear(params, PARAM_ORIGIN_SET, false, err, sizeof err), 0);
    assert_int_equal(params_set_models(params, fewer, 2), 0);
    assert_true(real(params, WEIGHT, 0) == 5 && real(params, WEIGHT, 1) == 3);
    assert_int_equal(params_view(params)->values[WEIGHT].changed, 1);
    assert_int_equal(params_view(params)->values[LIMIT].changed, 0);
    params_destroy(params);
}

static void test_batch_is_atomic(void **state)
{
    (void)state;
    struct params *params = NULL, *copy = NULL;
    assert_int_equal(params_create(&schema, models, 3, &params), 0);
    const struct param_assignment batch[] = {
        {"limit", NULL, "50"}, {"period", NULL, "20"}, {"on", NULL, "maybe"}};
    assert_int_equal(params_apply(params, batch, 3, PARAM_ORIGIN_SET, true, err, sizeof err),
                     -EINVAL);
    assert_int_equal(integer(params, LIMIT), 8);
    /* Legal together, not one after the other. */
    const struct param_assignment reverse[] = {{"period", NULL, "20"}, {"limit", NULL, "50"}};
    assert_int_equal(params_clone(params, &copy), 0);
    assert_int_equal(params_apply(copy, reverse, 2, PARAM_ORIGIN_SET, true, err, sizeof err), 0);
    assert_int_equal(integer(copy, LIMIT), 50);
    assert_int_equal(integer(params, LIMIT), 8);
    assert_int_equal(params_view(copy)->values[LIMIT].changed, 1);
    assert_int_equal(params_view(copy)->values[ON].changed, 0);
    /* Not live: only at create. */
    const struct param_assignment mode = {"mode", NULL, "plain"};
    assert_int_equal(params_apply(copy, &mode, 1, PARAM_ORIGIN_SET, true, err, sizeof err), -EPERM);
    assert_int_equal(params_apply(copy, &mode, 1, PARAM_ORIGIN_SET, false, err, sizeof err), 0);
    assert_int_equal(params_compare(copy, params, true, err, sizeof err), -EPERM);
    params_destroy(copy);
    params_destroy(params);
}

static int collect(void *ctx, const struct param_assignment *given)
{
    char *all = ctx;
    size_t used = strlen(all);
    (void)snprintf(all + used, 256 - used, "%s[%s]=%s;", given->name,
                   given->model ? given->model : "", given->text);
    return 0;
}

static void test_each(void **state)
{
    (void)state;
    struct params *params = NULL;
    char all[256] = "";
    assert_int_equal(params_create(&schema, models, 3, &params), 0);
    assert_int_equal(set(params, "weight[zz]=2", PARAM_ORIGIN_VALUES), 0);
    assert_int_equal(set(params, "limit=9", PARAM_ORIGIN_VALUES), 0);
    assert_int_equal(set(params, "on=false", PARAM_ORIGIN_SET), 0);
    assert_int_equal(params_each(params, PARAM_ORIGIN_VALUES, collect, all), 0);
    assert_string_equal(all, "weight[zz]=2.0;limit[]=9;");
    params_destroy(params);
}

/* Any double that is printed reads back to the same bits. */
static void test_property_numbers_round_trip(void **state)
{
    (void)state;
    struct shunt_param_info any = SHUNT_DECLARE_REAL(1, "x", 0, 0, -1.7e308, 1.7e308, "", "");
    uint64_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        double value, back[PARAMS_VECTOR_MAX];
        bits = bits * UINT64_C(6364136223846793005) + 1442695040888963407;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value) || fabs(value) > 1.7e308) {
            continue;
        }
        char text[64];
        assert_int_equal(param_print(&any, &value, text, sizeof text), 0);
        assert_int_equal(param_parse(&any, text, back, err, sizeof err), 0);
        assert_memory_equal(&value, back, sizeof value);
    }
}

static void test_yaml(void **state)
{
    (void)state;
    char *text = NULL;
    assert_int_equal(params_schema_yaml(&schema, &plugin, &text), 0);
    assert_string_equal(
        text,
        "policy: amortized\nversion: 1.0.0\nabi: \">=1.0\"\nstate_schema: 1\n"
        "summary: \"Stay: long enough.\"\nparameters:\n"
        "  overhead_target:\n"
        "    {type: real, default: 0.1, range: [0.01, 0.5], scale: log, unit: ratio, live: true, "
        "tune: true,\n     doc: \"Share of device time that switching may take under saturation. "
        "Lower: longer visits, fewer switches, longer waits for the others.\"}\n"
        "  weight:\n"
        "    {type: real, per: model, default: 1.0, range: [0.1, 10.0], scale: log, unit: ratio, "
        "live: true, tune: false,\n     doc: \"Importance of one waiting request of this "
        "model.\"}\n"
        "  limit:\n    {type: int, default: 8, range: [-5, 100], unit: requests, live: true, "
        "tune: false, doc: \"A \\\"limit\\\".\"}\n"
        "  period:\n    {type: duration, default: 2.5, range: [0.0, 3600.0], unit: s, live: true, "
        "tune: false, hidden: true, doc: \"A period.\"}\n"
        "  mode:\n    {type: enum, default: fancy, choices: [plain, fancy], live: false, "
        "tune: false, doc: \"A mode.\"}\n"
        "  on:\n    {type: bool, default: true, live: true, tune: false, doc: \"A switch.\"}\n"
        "  curve:\n    {type: vector, length: 3, default: [0.5, 0.5, 0.5], range: [0.0, 1.0], "
        "live: true, tune: false, doc: \"A curve.\"}\n"
        "constraints:\n  - {left: period, right: limit, factor: 0.5, doc: \"the period must "
        "fit\"}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_declarations),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_batch_is_atomic),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_property_numbers_round_trip),
        cmocka_unit_test(test_yaml),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
