/*
 * Parameters of a policy: what it declares, and how values reach it.
 *
 * The declarations in the shared object are authoritative; NAME.yaml beside it is their printed
 * form. The host reads values from defaults, values files, its configuration and the operator (in
 * this order, later wins), rejects NaN and anything out of range itself, and hands over complete,
 * consistent sets: a policy never sees half a batch.
 */
#ifndef SHUNT_PARAMS_H
#define SHUNT_PARAMS_H

#include <shunt/types.h>

/* Types. Integers cross as int64_t, reals as double. */
enum {
    SHUNT_PARAM_INT = 1,      /* int64_t */
    SHUNT_PARAM_REAL = 2,     /* double */
    SHUNT_PARAM_DURATION = 3, /* declared in seconds, delivered as int64_t nanoseconds */
    SHUNT_PARAM_ENUM = 4,     /* index into choices, int64_t */
    SHUNT_PARAM_BOOL = 5,     /* 0 or 1, int64_t */
    SHUNT_PARAM_VECTOR = 6    /* vector_len doubles */
};

/* Flags of a parameter. */
enum {
    SHUNT_PARAM_LIVE = 1 << 0,      /* may change while the policy runs; otherwise at create only */
    SHUNT_PARAM_TUNE = 1 << 1,      /* worth searching over */
    SHUNT_PARAM_PER_MODEL = 1 << 2, /* one value a model; scalar types only */
    SHUNT_PARAM_LOG_SCALE = 1 << 3, /* search and sliders use a logarithmic scale; min > 0 */
    SHUNT_PARAM_HIDDEN = 1 << 4     /* left out of ordinary listings */
};

/* Declaration of one parameter. Static storage in the plugin; strings are UTF-8 and live as long
 * as the plugin. */
struct shunt_param_info {
    uint32_t size;              /* sizeof(struct shunt_param_info) */
    uint32_t id;                /* unique in the policy, never reused for another meaning */
    const char *name;           /* [a-z][a-z0-9_]*, unique, at most 63 bytes */
    uint32_t type;              /* SHUNT_PARAM_INT... */
    uint32_t flags;             /* SHUNT_PARAM_LIVE... */
    double value_default;       /* index for ENUM, seconds for DURATION; every element for VECTOR */
    double value_min;           /* smallest legal value, same unit; ignored for ENUM and BOOL */
    double value_max;           /* largest legal value, same unit */
    const char *unit;           /* "ratio", "s", "requests", ...; "" if none */
    const char *doc;            /* one paragraph: what it does, what lower and higher mean */
    const char *const *choices; /* ENUM: choice_count names; otherwise NULL */
    uint32_t choice_count;
    uint32_t vector_len; /* VECTOR: number of elements, 1..16; otherwise 0 */
};

/*
 * Declarations in one expression each, as elements of an array of struct shunt_param_info. ID is
 * the array index plus one unless a parameter was removed once.
 */
#define SHUNT_DECLARE_(ID, NAME, TYPE, FLAGS, DEFAULT, MIN, MAX, UNIT, DOC, CHOICES, COUNT, LEN)   \
    {                                                                                              \
        (uint32_t)sizeof(struct shunt_param_info), ID, NAME, TYPE, FLAGS, DEFAULT, MIN, MAX, UNIT, \
            DOC, CHOICES, (uint32_t)(COUNT), LEN                                                   \
    }
#define SHUNT_DECLARE_INT(ID, NAME, FLAGS, DEFAULT, MIN, MAX, UNIT, DOC)                           \
    SHUNT_DECLARE_(ID, NAME, SHUNT_PARAM_INT, FLAGS, DEFAULT, MIN, MAX, UNIT, DOC, NULL, 0, 0)
#define SHUNT_DECLARE_REAL(ID, NAME, FLAGS, DEFAULT, MIN, MAX, UNIT, DOC)                          \
    SHUNT_DECLARE_(ID, NAME, SHUNT_PARAM_REAL, FLAGS, DEFAULT, MIN, MAX, UNIT, DOC, NULL, 0, 0)
/* DEFAULT, MIN and MAX in seconds. */
#define SHUNT_DECLARE_DURATION(ID, NAME, FLAGS, DEFAULT, MIN, MAX, DOC)                            \
    SHUNT_DECLARE_(ID, NAME, SHUNT_PARAM_DURATION, FLAGS, DEFAULT, MIN, MAX, "s", DOC, NULL, 0, 0)
/* CHOICES is an array of strings, DEFAULT an index into it. */
#define SHUNT_DECLARE_ENUM(ID, NAME, FLAGS, DEFAULT, CHOICES, DOC)                                 \
    SHUNT_DECLARE_(ID, NAME, SHUNT_PARAM_ENUM, FLAGS, DEFAULT, 0, 0, "", DOC, CHOICES,             \
                   sizeof(CHOICES) / sizeof((CHOICES)[0]), 0)
#define SHUNT_DECLARE_BOOL(ID, NAME, FLAGS, DEFAULT, DOC)                                          \
    SHUNT_DECLARE_(ID, NAME, SHUNT_PARAM_BOOL, FLAGS, DEFAULT, 0, 1, "", DOC, NULL, 0, 0)
#define SHUNT_DECLARE_VECTOR(ID, NAME, FLAGS, LEN, DEFAULT, MIN, MAX, UNIT, DOC)                   \
    SHUNT_DECLARE_(ID, NAME, SHUNT_PARAM_VECTOR, FLAGS, DEFAULT, MIN, MAX, UNIT, DOC, NULL, 0, LEN)

/* A relation that the host enforces on every set: left <= factor * right, both scalar. */
struct shunt_param_constraint {
    uint32_t size;     /* sizeof(struct shunt_param_constraint) */
    uint32_t left;     /* index into the declarations */
    uint32_t right;    /* index into the declarations */
    uint32_t reserved; /* 0 */
    double factor;
    const char *doc; /* why, for the error message */
};

/* One parameter's values in a set. Exactly one of the two pointers is set, by type. */
struct shunt_param_value {
    const int64_t *integer; /* INT, DURATION (ns), ENUM, BOOL */
    const double *real;     /* REAL, VECTOR */
    uint32_t count;         /* 1; number of models for PER_MODEL; vector_len for VECTOR */
    uint32_t changed;       /* 1 if different from the set before (always 1 at create) */
};

/* A complete set, indexed like the declarations. Valid until the callback returns. */
struct shunt_params {
    uint32_t size;     /* sizeof(struct shunt_params) */
    uint32_t count;    /* number of declarations */
    uint32_t stride;   /* bytes from one value to the next */
    uint32_t reserved; /* 0 */
    const struct shunt_param_value *values;
};

/* Value `index` of the set. `index` must be below params->count. */
static inline const struct shunt_param_value *shunt_param(const struct shunt_params *params,
                                                          uint32_t index)
{
    return (
        const struct shunt_param_value *)(const void *)((const char *)(const void *)params->values +
                                                        (size_t)params->stride * index);
}

/* Scalar REAL parameter, or element `model` of a PER_MODEL one. */
static inline double shunt_param_real(const struct shunt_params *params, uint32_t index,
                                      uint32_t model)
{
    const struct shunt_param_value *value = shunt_param(params, index);
    return value->real[model < value->count ? model : 0];
}

/* Scalar INT, ENUM, BOOL or DURATION (ns) parameter, or element `model` of a PER_MODEL one. */
static inline int64_t shunt_param_integer(const struct shunt_params *params, uint32_t index,
                                          uint32_t model)
{
    const struct shunt_param_value *value = shunt_param(params, index);
    return value->integer[model < value->count ? model : 0];
}

#endif
