/* What a result owns. See result.h. */
#include "sim/result.h"

#include <stdlib.h>

void result_fini(struct result *result)
{
    free(result->models);
    free(result->classes);
    result->models = NULL;
    result->classes = NULL;
    result->model_count = 0;
    result->class_count = 0;
}
