/* Any bytes as YAML: a tree within its limits, or a message. */
#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t walk(struct yaml *yaml, struct yaml_node *node, uint32_t depth)
{
    if (depth > YAML_DEPTH_MAX) {
        abort();
    }
    uint32_t sum = 1, children = 0;
    double real = 0;
    int64_t integer = 0;
    (void)yaml_node_real(yaml, node, "x", -1e300, 1e300, &real);
    (void)yaml_node_int(yaml, node, "x", INT64_MIN, INT64_MAX, &integer);
    if (!(real >= -1e300 && real <= 1e300)) {
        abort();
    }
    for (struct yaml_node *child = node->child; child; child = child->next) {
        if ((child->key != NULL) != (node->kind == YAML_MAPPING)) {
            abort();
        }
        children++;
        sum += walk(yaml, child, depth + 1);
    }
    if (children != node->count || (node->kind == YAML_SCALAR) != (node->text != NULL)) {
        abort();
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct yaml *yaml = NULL;
    char err[YAML_ERROR_BYTES_MAX] = "";
    if (yaml_parse((const char *)data, size, "f.yaml", &yaml, err, sizeof err) == 0) {
        if (walk(yaml, yaml_root(yaml), 0) > YAML_NODES_MAX) {
            abort();
        }
        yaml_free(yaml);
    } else if (err[0] == '\0') {
        abort();
    }
    return 0;
}
