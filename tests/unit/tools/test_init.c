/* `shunt init`: what it writes loads, and llama-swap files become what they mean. */
#include "tools/init.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses what it was reading at a syntax error. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig\n";
}

static struct config_errors errors;

static char *written(const struct draft *draft)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    init_write(draft, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static struct config *load(const char *text)
{
    struct config *config = NULL;
    if (config_load_string(text, strlen(text), "shunt.cfg", &config, &errors)) {
        fail_msg("%s\n%s", errors.text[0], text);
    }
    return config;
}

static void read_swap(struct draft *draft, const char *text)
{
    struct yaml *yaml = NULL;
    char err[600] = "";
    if (yaml_parse(text, strlen(text), "swap.yaml", &yaml, err, sizeof err) ||
        init_llama_swap_yaml(draft, yaml, err, sizeof err)) {
        fail_msg("%s", err);
    }
    yaml_free(yaml);
}

static bool remarked(const struct draft_list *remarks, const char *part)
{
    for (size_t i = 0; i < remarks->count; i++) {
        if (strstr(remarks->item[i], part)) {
            return true;
        }
    }
    return false;
}

static const char swap[] =
    "healthCheckTimeout: 90\n"
    "logLevel: warn\n"
    "startPort: 5800\n"
    "globalTTL: 600\n"
    "macros:\n"
    "  bin: /opt/llama/llama-server\n"
    "  serve: ${bin} --port ${PORT}\n"
    "  ctx: 8192\n"
    "apiKeys: [\"sk-secret\"]\n"
    "groups: {g: {swap: true, members: [qwen]}}\n"
    "models:\n"
    "  qwen:\n"
    "    macros: {ctx: 4096}\n"
    "    cmd: |\n"
    "      # the model\n"
    "      ${serve} -m '/models/a b.gguf' \\\n"
    "        -c ${ctx} -np 4 --alias \"${MODEL_ID}\" --x=\\\"q\\\"\n"
    "      # the end\n"
    "      --jinja\n"
    "    env: [\"A=1\", \"HOME_OF=${PORT}\"]\n"
    "    aliases: [default, gpt-4o]\n"
    "    ttl: 0\n"
    "    useModelName: Qwen/Qwen\n"
    "    concurrencyLimit: 6\n"
    "    filters: {stripParams: \"temperature\"}\n"
    "    unlisted: true\n"
    "  big:\n"
    "    cmd: vllm serve Big/Model --port ${PORT} --max-num-seqs=32 --enable-sleep-mode\n"
    "    env: [VLLM_SERVER_DEV_MODE=1]\n"
    "    proxy: http://127.0.0.1:${PORT}\n"
    "    checkEndpoint: /ready\n"
    "    cmdStop: kill ${PID}\n"
    "    ttl: 300\n"
    "  box:\n"
    "    cmd: docker run --rm -p ${PORT}:30000 lmsysorg/sglang:latest python3 -m "
    "sglang.launch_server\n"
    "    cmdStop: docker stop ${MODEL_ID}\n"
    "    checkEndpoint: none\n"
    "  other:\n"
    "    cmd: ./serve --gpu ${nope}\n"
    "    proxy: http://gpu-box:9000\n"
    "hooks: {on_startup: {preload: [big]}}\n";

static void test_llama_swap(void **state)
{
    (void)state;
    struct draft draft = {.model_count = 0};
    read_swap(&draft, swap);
    assert_int_equal(draft.model_count, 4);
    assert_true(remarked(&draft.remarks, "apiKeys"));
    assert_true(remarked(&draft.remarks, "not mapped: groups"));
    assert_true(remarked(&draft.models[0].remarks, "not mapped: filters"));
    assert_true(remarked(&draft.models[0].remarks, "not mapped: unlisted"));
    assert_true(remarked(&draft.models[1].remarks, "${PID}"));
    assert_true(remarked(&draft.models[3].remarks, "${nope}"));
    char *text = written(&draft);
    assert_null(strstr(text, "sk-secret"));
    struct config *config = load(text);

    assert_int_equal(config->log_level, CONFIG_LOG_WARNING);
    assert_int_equal(config->engine_port_min, 5800);
    const struct config_model *qwen = &config->models[0];
    static const char *const argv[] = {"/opt/llama/llama-server",
                                       "--port",
                                       "${PORT}",
                                       "-m",
                                       "/models/a b.gguf",
                                       "-c",
                                       "4096",
                                       "-np",
                                       "4",
                                       "--alias",
                                       "${MODEL}",
                                       "--x=\"q\"",
                                       "--jinja"};
    assert_int_equal(qwen->start.count, sizeof argv / sizeof argv[0]);
    for (uint32_t i = 0; i < qwen->start.count; i++) {
        assert_string_equal(qwen->start.item[i], argv[i]);
    }
    assert_int_equal(qwen->engine, CONFIG_ENGINE_LLAMA_SERVER);
    assert_string_equal(qwen->env.item[1], "HOME_OF=${PORT}");
    assert_string_equal(qwen->aliases.item[1], "gpt-4o");
    assert_string_equal(qwen->upstream_model, "Qwen/Qwen");
    assert_int_equal(qwen->idle_unload_ns, 0);
    assert_int_equal(qwen->max_concurrency, 6);
    assert_int_equal(qwen->start_timeout_ns, INT64_C(90) * 1000000000);
    assert_true(qwen->memory.automatic);

    const struct config_model *big = &config->models[1];
    assert_int_equal(big->engine, CONFIG_ENGINE_VLLM);
    assert_int_equal(big->tiers.tier[0], SHUNT_TIER_ASLEEP);
    assert_int_equal(big->max_concurrency, 32);
    assert_string_equal(big->health_path, "/ready");
    assert_string_equal(big->url, "");
    assert_int_equal(big->stop.count, 0);
    assert_true(big->preload);
    assert_int_equal(big->idle_unload_ns, INT64_C(300) * 1000000000);

    assert_int_equal(config->models[2].engine, CONFIG_ENGINE_SGLANG);
    assert_string_equal(config->models[2].stop.item[2], "${MODEL}");
    assert_int_equal(config->models[2].idle_unload_ns, INT64_C(600) * 1000000000);
    assert_int_equal(config->models[3].engine, CONFIG_ENGINE_COMMAND);
    assert_string_equal(config->models[3].url, "http://gpu-box:9000");
    assert_string_equal(config->models[3].start.item[2], "$${nope}");
    config_free(config);
    free(text);
    draft_fini(&draft);
}

static void test_llama_swap_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"a: 1\n", "models: is missing; is this a llama-swap file?"},
        {"models: [1]\n", "models: wants a mapping"},
        {"models: {a: 3}\n", "models.a: wants a mapping"},
        {"models: {a: {cmd: \"x 'y\"}}\n", "s.yaml:1:19: cmd: a quote is left open"},
        {"models: {a: {cmd: x, ttl: soon}}\n", "ttl: \"soon\" is not a number"},
        {"models: {a: {cmd: x, env: {}}}\n", "env: wants a sequence"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct draft draft = {.model_count = 0};
        struct yaml *yaml = NULL;
        char err[600] = "";
        assert_int_equal(
            yaml_parse(cases[i].text, strlen(cases[i].text), "s.yaml", &yaml, err, sizeof err), 0);
        assert_int_equal(init_llama_swap_yaml(&draft, yaml, err, sizeof err), -EINVAL);
        if (!strstr(err, cases[i].part)) {
            fail_msg("\"%s\" lacks \"%s\"", err, cases[i].part);
        }
        yaml_free(yaml);
        draft_fini(&draft);
    }
}

/* A macro that names itself must end. */
static void test_recursive_macro(void **state)
{
    (void)state;
    struct draft draft = {.model_count = 0};
    read_swap(&draft, "macros: {a: \"${b} x\", b: \"${a} y\"}\n"
                      "models: {m: {cmd: \"run ${a} ${PORT}\"}}\n");
    assert_true(remarked(&draft.models[0].remarks, "has no counterpart"));
    draft_fini(&draft);
}

static void test_split(void **state)
{
    (void)state;
    struct draft_list argv = {.count = 0};
    assert_int_equal(draft_split("a 'b c' \"d \\\"e\\n\" f\\ g '' h\"i j\"k", &argv), 0);
    static const char *const want[] = {"a", "b c", "d \"e\\n", "f g", "", "hi jk"};
    assert_int_equal(argv.count, sizeof want / sizeof want[0]);
    for (size_t i = 0; i < argv.count; i++) {
        assert_string_equal(argv.item[i], want[i]);
        free(argv.item[i]);
    }
    free(argv.item);
}

static void test_engines(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        enum config_engine engine;
    } cases[] = {
        {"vllm serve x", CONFIG_ENGINE_VLLM},
        {"/opt/venv/bin/python -m vllm.entrypoints.openai.api_server", CONFIG_ENGINE_VLLM},
        {"python3 -m sglang.launch_server", CONFIG_ENGINE_SGLANG},
        {"/usr/bin/llama-server -m /models/vllm.gguf", CONFIG_ENGINE_LLAMA_SERVER},
        {"docker run ghcr.io/ggml-org/llama.cpp:server", CONFIG_ENGINE_LLAMA_SERVER},
        {"ollama serve", CONFIG_ENGINE_OLLAMA},
        {"./mine -m /models/vllm.gguf", CONFIG_ENGINE_COMMAND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct draft draft = {.model_count = 0};
        struct draft_model *model = draft_model_add(&draft, "m");
        assert_int_equal(draft_split(cases[i].command, &model->start), 0);
        assert_int_equal(draft_engine(&model->start), cases[i].engine);
        draft_fini(&draft);
    }
}

/* Whatever stands in a draft, the file that is written is not broken by it. */
static void test_hostile_texts(void **state)
{
    (void)state;
    struct draft draft = {.gpus = 1};
    struct draft_model *model = draft_model_add(&draft, "m");
    model->engine = CONFIG_ENGINE_COMMAND;
    draft_add(&model->start, "a\"; } \\ \n # /* x");
    draft_add(&model->start, "");
    draft_remark(&model->remarks, "one\n two = 3; */");
    draft_remark(&draft.remarks, "x\n@include \"/etc/passwd\"");
    char *text = written(&draft);
    struct config *config = load(text);
    assert_string_equal(config->models[0].start.item[0], "a\"; } \\   # /* x");
    config_free(config);
    free(text);
    draft_fini(&draft);
}

/* The defaults that stand commented out are legal, and are the defaults. */
static void count(void *context, const char *path, const char *value, uint32_t line)
{
    (void)path;
    (void)value;
    *(unsigned *)context += line != 0;
}

static void test_commented_defaults(void **state)
{
    (void)state;
    struct draft draft = {.gpus = 1};
    struct draft_model *model = draft_model_add(&draft, "m");
    model->engine = CONFIG_ENGINE_COMMAND;
    draft_add(&model->start, "x");
    char *text = written(&draft);
    struct config *plain = load(text);
    unsigned before = 0, after = 0;
    config_each(plain, count, &before);
    for (char *at = text; (at = strstr(at, "\n    # ")); at++) {
        const char *end = strchr(at + 1, '\n');
        const char *equals = strstr(at, " = ");
        if (end && end[-1] == ';' && equals && equals < end &&
            !memchr(at + 7, ' ', (size_t)(equals - at) - 7)) {
            at[5] = ' ';
        }
    }
    struct config *config = load(text);
    config_each(config, count, &after);
    assert_true(after > before + 40);
    assert_int_equal(config->limits.max_wait_ns, plain->limits.max_wait_ns);
    assert_int_equal(config->guard.age_ns, plain->guard.age_ns);
    assert_string_equal(config->journal.dir, plain->journal.dir);
    config_free(config);
    config_free(plain);
    free(text);
    draft_fini(&draft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama_swap),
        cmocka_unit_test(test_llama_swap_refused),
        cmocka_unit_test(test_recursive_macro),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_engines),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_commented_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
