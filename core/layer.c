#include "core/core.h"
typedef int core_layer;
#include "core/blob.h"
#include "core/bound.h"
#include "core/cost.h"
#include "core/fmath.h"
#include "core/rate.h"
#include "core/rng.h"
