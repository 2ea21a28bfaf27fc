/* What `shunt ctl` prints: fits 100 columns, says every number it was given, survives odd answers.
 */
#include "tools/ctl_print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed(ctl_printer *print, const char *json)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t error;
    json_t *answer = json_loads(json, 0, &error);
    FILE *out = open_memstream(&text, &size);
    if (!answer) {
        fail_msg("%s at %d", error.text, error.position);
    }
    assert_non_null(out);
    print(answer, out);
    assert_int_equal(fclose(out), 0);
    json_decref(answer);
    if (getenv("SHUNT_SHOW")) {
        print_message("%s\n", text);
    }
    for (char *line = text; *line; line += strcspn(line, "\n") + 1) {
        if (strcspn(line, "\n") > 100) {
            fail_msg("a line of %zu columns: %.120s", strcspn(line, "\n"), line);
        }
    }
    return text;
}

static void expect(ctl_printer *print, const char *json, const char *const *parts)
{
    char *text = printed(print, json);
    for (; *parts; parts++) {
        if (!strstr(text, *parts)) {
            fail_msg("\"%s\" is not in\n%s", *parts, text);
        }
    }
    free(text);
}

#define INSTANCE                                                                                   \
    "{\"device\":\"gpu0\",\"state\":\"resident\",\"tier\":\"resident\",\"in_flight\":12,"          \
    "\"admitting\":true,\"pinned\":true,\"device_bytes\":20937965568,\"engine\":\"llama_server\"," \
    "\"origin\":\"127.0.0.1:41001\",\"pid\":1234567,\"starts\":3,\"failures\":1,"                  \
    "\"last_error\":\"the engine did not answer within 300 s; it was ended, and is tried again "   \
    "in 5 s, longer than fits in one line of a terminal that has one hundred columns\"}"
#define MODEL                                                                                      \
    "{\"name\":\"meta-llama/Llama-3.3-70B-Instruct-FP8\",\"queued\":1234,\"in_flight\":128,"       \
    "\"accepted\":9999999,\"rejected\":1000,\"completed\":1234567,\"expired\":12,\"failed\":3,"    \
    "\"cut\":1,\"visits\":4321,\"oldest_s\":83.25,\"eta_s\":7200.5,\"gap_max_s\":301.25,"          \
    "\"bounds\":{\"gap_expected_s\":61.5,\"gap_guaranteed_s\":86399,\"wait_expected_s\":null,"     \
    "\"wait_guaranteed_s\":null},\"instances\":[" INSTANCE "]}"

static void status(void **state)
{
    (void)state;
    expect(ctl_print_status,
           "{\"phase\":\"ready\",\"config\":\"/etc/shunt/shunt.cfg\",\"worker_restarts\":2,"
           "\"connections\":312,\"requests\":128,\"cells\":[{\"name\":\"main\",\"policy\":"
           "{\"id\":\"amortized\",\"version\":\"1.0.0\",\"hash\":\"0123456789abcdef0123\","
           "\"decisions\":812,\"faults\":0},\"drift\":\"policy fifo was swapped in\",\"devices\":"
           "[{\"name\":\"gpu0\",\"state\":\"switching\",\"up\":true,\"resident\":[\"a\",\"b\"],"
           "\"held_bytes\":23622320128,\"time_s\":{\"serving\":70,\"draining\":5,\"switching\":20,"
           "\"lingering\":0,\"idle\":5},\"switches\":1234,\"visits_forced\":7}],"
           "\"models\":[" MODEL "]}]}",
           (const char *const[]){"ready", "312 connections", "restarted 2 times", "amortized",
                                 "policy fifo was swapped in", "70.0%", "22.0 GiB", "a +1",
                                 "resident", "1234567", "83.2 s", "2 h 00 m", "none", NULL});
}

static void models(void **state)
{
    (void)state;
    expect(ctl_print_models, "{\"models\":[" MODEL "]}",
           (const char *const[]){"19.5 GiB", "1234567", "llama_server", "yes",
                                 "it was ended, and is tried again", "one hundred columns", NULL});
}

static void policies(void **state)
{
    (void)state;
    expect(
        ctl_print_policy_list,
        "{\"cells\":[{\"cell\":\"main\",\"builtin_selected\":false,\"policies\":[{\"slot\":1,"
        "\"selected\":true,\"id\":\"amortized\",\"version\":\"1.0.0\",\"hash\":\"0123456789abcdef"
        "0\",\"decisions\":10,\"faults\":2,\"decide_max_us\":12.5,\"loaded_for_s\":3.5},{\"slot\":"
        "2,\"selected\":false,\"rollback\":true,\"id\":\"fifo\",\"version\":\"1.0.0\"}]}]}",
        (const char *const[]){"decides", "ready to return", "12.5 us", "3.50 s", NULL});
    expect(
        ctl_print_policy_show,
        "{\"id\":\"amortized\",\"version\":\"1.0.0\",\"hash\":\"0123\",\"reference\":\"amortized\","
        "\"parameters\":[{\"name\":\"overhead_target\",\"type\":\"real\",\"origin\":\"config\","
        "\"live\":true,\"unit\":\"ratio\",\"doc\":\"Share of device time that switching may take "
        "under saturation. Lower: longer visits, fewer switches, longer waits for the others.\","
        "\"value\":\"0.1\"},{\"name\":\"weight\",\"live\":false,\"models\":[{\"model\":\"a\","
        "\"value\":\"2\",\"origin\":\"set\"}]}]}",
        (const char *const[]){"overhead_target = 0.1 ratio", "from config", "[a] = 2   from set",
                              "fixed while the policy runs", NULL});
}

static void explain(void **state)
{
    (void)state;
    expect(
        ctl_print_explain,
        "{\"request\":\"ab-12\",\"model\":\"beta\",\"state\":\"completed\",\"policy\":"
        "\"amortized\","
        "\"wait_ns\":12345678901,\"wait_parts_ns\":{\"queue\":0,\"policy\":10000000000,\"in\":"
        "2345678901},\"position\":null,\"first_token_s\":12.5,\"end_s\":13.25,\"decisions\":[{"
        "\"decision\":7,\"at_s\":0.25,\"policy\":\"amortized\",\"action\":\"stay\",\"model\":null,"
        "\"reason\":\"within_quantum\",\"verdict\":\"applied\",\"scores\":{\"alpha\":3.5,\"beta\":"
        "1},"
        "\"text\":\"alpha still has 3 of its 40 requests to go before a switch is worth its cost, "
        "which is 4.2 s as measured\"}]}",
        (const char *const[]){"policy stayed with another model       10.000000 s",
                              "its model moved in", "2.345679 s", "together", "12.345679 s",
                              "within_quantum", "alpha=3.5 beta=1", "is worth its", NULL});
}

static void empty(void **state)
{
    (void)state;
    ctl_printer *const all[] = {ctl_print_message, ctl_print_text,        ctl_print_status,
                                ctl_print_models,  ctl_print_policy_list, ctl_print_policy_show,
                                ctl_print_explain};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(printed(all[i], "{}"));
        free(printed(all[i], "{\"cells\":[{}],\"models\":[{\"instances\":[{}]}],\"request\":\"x\","
                             "\"parameters\":[{}],\"decisions\":[{}]}"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status),  cmocka_unit_test(models), cmocka_unit_test(policies),
        cmocka_unit_test(explain), cmocka_unit_test(empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
