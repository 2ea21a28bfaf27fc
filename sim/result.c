/* What a result owns. See result.h. */
#include "sim/result.h"

#include <stdlib.h>

void result_fini(struct result *result)
{
    free(result->models);
    free(result->classes);
    free(result->blocks);
    result->models = NULL;
    result->classes = NULL;
    result->blocks = NULL;
    result->block_count = 0;
    result->model_count = 0;
    result->class_count = 0;
}
