/* Any bytes as shunt.cfg: either a tree that can be walked, or at least one message. */
#include "base/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses what it was reading at a syntax error. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig\n";
}

static void each(void *context, const char *path, const char *value, uint32_t line)
{
    size_t *sum = context;
    *sum += strlen(path) + strlen(value) + line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_errors errors;
    struct config *config = NULL;
    int result = config_load_string((const char *)data, size, "fuzz.cfg", &config, &errors);
    if (result == 0) {
        size_t sum = 0;
        config_each(config, each, &sum);
        config_free(config);
    } else if (errors.count == 0) {
        abort();
    }
    return 0;
}
