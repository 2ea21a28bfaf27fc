/*
 * Any bytes as a list of sources: a spec that runs, its requests in order and in range, the same
 * after a reset, or a message of one line.
 */
#include "base/arrivals.h"
#include "base/yaml.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REQUESTS = 64 };

static uint64_t run(struct arrivals *arrivals, const struct arrivals_spec *spec)
{
    char err[ARRIVALS_ERROR_MAX] = "";
    struct arrival a;
    int64_t last_ns = 0, peek_ns;
    uint64_t sum = 0;
    int rc;
    while ((rc = arrivals_next(arrivals, &a, err, sizeof err)) == 1) {
        assert(a.t_ns >= last_ns && a.model < spec->models_len && a.source < spec->sources_len);
        assert(a.service_ns >= -1 && a.input_tokens >= -1 && a.output_tokens >= -1);
        assert(a.service_class >= -1 && a.service_class < ARRIVALS_CLASSES);
        last_ns = a.t_ns;
        sum = sum * 31 + (uint64_t)a.t_ns + (uint64_t)a.service_ns + a.source_index;
        arrivals_done(arrivals, a.source, a.source_index, a.t_ns);
    }
    assert(rc == 0 || err[0] != '\0');
    assert(arrivals_peek(arrivals, &peek_ns) == rc);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[ARRIVALS_ERROR_MAX] = "";
    struct yaml *yaml;
    if (yaml_parse((const char *)data, size, "f.yaml", &yaml, err, sizeof err)) {
        assert(err[0] != '\0');
        return 0;
    }
    struct arrivals_spec spec = {0};
    struct yaml_node *list = yaml_get(yaml_root(yaml), "arrivals");
    int rc = list ? arrivals_load(&spec, yaml, list, NULL, NULL) : -EINVAL;
    if (rc) {
        assert(!list || (yaml_error(yaml)[0] != '\0' && !strchr(yaml_error(yaml), '\n')));
        arrivals_spec_fini(&spec);
        yaml_free(yaml);
        return 0;
    }
    struct arrivals *arrivals;
    const struct arrivals_options options = {.seed = 1, .requests_max = REQUESTS};
    if (arrivals_create(&arrivals, &spec, &options, err, sizeof err) == 0) {
        uint64_t sum = run(arrivals, &spec);
        if (arrivals_reset(arrivals, &options, err, sizeof err) == 0) {
            assert(run(arrivals, &spec) == sum);
        }
        arrivals_destroy(arrivals);
    } else {
        assert(err[0] != '\0' && !strchr(err, '\n'));
    }
    arrivals_spec_fini(&spec);
    yaml_free(yaml);
    return 0;
}
