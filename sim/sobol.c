/* Direction numbers and points of a Sobol sequence: see sobol.h. */
#include "sim/sobol.h"

#include "base/random.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { TABLE_DIMENSIONS = 21, DEGREE_MAX = 9, STREAM_SHIFT = 1, STREAM_INITIAL = 2 };

/* Inner coefficients of the polynomial, its highest and lowest being 1, and initial numbers. */
struct entry {
    uint8_t degree, inner;
    uint8_t initial[7];
};

/* Joe and Kuo, D(6); dimension 1 (all ones) has no polynomial. */
static const struct entry table[TABLE_DIMENSIONS - 1] = {
    {1, 0, {1}},
    {2, 1, {1, 3}},
    {3, 1, {1, 3, 1}},
    {3, 2, {1, 1, 1}},
    {4, 1, {1, 1, 3, 3}},
    {4, 4, {1, 3, 5, 13}},
    {5, 2, {1, 1, 5, 5, 17}},
    {5, 4, {1, 1, 5, 5, 5}},
    {5, 7, {1, 1, 7, 11, 19}},
    {5, 11, {1, 1, 5, 1, 1}},
    {5, 13, {1, 1, 1, 3, 11}},
    {5, 14, {1, 3, 5, 5, 31}},
    {6, 1, {1, 3, 3, 9, 7, 49}},
    {6, 13, {1, 1, 1, 15, 21, 21}},
    {6, 16, {1, 3, 1, 13, 27, 49}},
    {6, 19, {1, 1, 1, 15, 7, 5}},
    {6, 22, {1, 3, 1, 15, 13, 25}},
    {6, 25, {1, 1, 5, 5, 19, 61}},
    {7, 1, {1, 3, 7, 11, 23, 15, 103}},
    {7, 4, {1, 3, 7, 13, 13, 15, 69}},
};

/* ------------------------------------------------------------------ polynomials */

/* Whether x generates all non-zero residues modulo a polynomial over GF(2) of this degree. */
static bool is_primitive(uint32_t polynomial, uint32_t degree)
{
    uint32_t order = 0, residue = 1;
    do {
        residue <<= 1;
        if (residue >> degree & 1) {
            residue ^= polynomial;
        }
        order++;
    } while (residue > 1 && order < UINT32_C(1) << degree);
    return residue == 1 && order == (UINT32_C(1) << degree) - 1;
}

/* The primitive polynomial after this one, by degree and value. */
static void next_polynomial(uint32_t *degree, uint32_t *polynomial)
{
    do {
        *polynomial += 2;
        if (*polynomial >> (*degree + 1)) {
            ++*degree;
            *polynomial = (UINT32_C(1) << *degree) + 1;
        }
        assert(*degree <= DEGREE_MAX);
    } while (!is_primitive(*polynomial, *degree));
}

/* ------------------------------------------------------------------ direction numbers */

/* All of a dimension's numbers from its first ones: v_k = m_k / 2^k, as 64-bit fractions. */
static void extend(uint64_t direction[SOBOL_BITS], uint32_t degree, uint32_t inner,
                   const uint64_t *initial)
{
    for (uint32_t k = 0; k < SOBOL_BITS; k++) {
        if (k < degree) {
            direction[k] = initial[k] << (SOBOL_BITS - 1 - k);
            continue;
        }
        direction[k] = direction[k - degree] ^ (direction[k - degree] >> degree);
        for (uint32_t i = 1; i < degree; i++) {
            if (inner >> (degree - 1 - i) & 1) {
                direction[k] ^= direction[k - i];
            }
        }
    }
}

/* Property A of the first `count` dimensions: the matrix of the first bits of their first `count`
 * numbers is regular over GF(2). */
static bool has_property_a(const struct sobol *sobol, uint32_t count)
{
    uint64_t rows[SOBOL_DIMENSIONS_MAX];
    for (uint32_t d = 0; d < count; d++) {
        rows[d] = 0;
        for (uint32_t k = 0; k < count; k++) {
            rows[d] |= (sobol->direction[d][k] >> (SOBOL_BITS - 1)) << k;
        }
    }
    for (uint32_t column = 0; column < count; column++) {
        uint32_t pivot = column;
        while (pivot < count && !(rows[pivot] >> column & 1)) {
            pivot++;
        }
        if (pivot == count) {
            return false;
        }
        uint64_t row = rows[pivot];
        rows[pivot] = rows[column];
        rows[column] = row;
        for (uint32_t d = column + 1; d < count; d++) {
            rows[d] ^= rows[d] >> column & 1 ? row : 0;
        }
    }
    return true;
}

/* Initial numbers for dimension `d` (from 0), the first drawn that keep property A. */
static void draw_initial(struct sobol *sobol, uint32_t d, uint32_t degree, uint32_t polynomial)
{
    uint64_t initial[DEGREE_MAX];
    uint32_t inner = (polynomial >> 1) & ((UINT32_C(1) << (degree - 1)) - 1);
    uint64_t attempt = 0;
    do {
        for (uint32_t k = 0; k < degree; k++) {
            uint64_t bits = random_u64(d, STREAM_INITIAL, attempt * DEGREE_MAX + k);
            initial[k] = (bits >> 32 & ((UINT64_C(1) << (k + 1)) - 1)) | 1;
        }
        extend(sobol->direction[d], degree, inner, initial);
        attempt++;
    } while (!has_property_a(sobol, d + 1));
}

void sobol_init(struct sobol *sobol, uint32_t dimensions, uint64_t shift_seed)
{
    assert(dimensions >= 1 && dimensions <= SOBOL_DIMENSIONS_MAX);
    uint32_t degree = 0, polynomial = 0;
    memset(sobol, 0, sizeof(*sobol));
    sobol->dimensions = dimensions;
    for (uint32_t k = 0; k < SOBOL_BITS; k++) {
        sobol->direction[0][k] = UINT64_C(1) << (SOBOL_BITS - 1 - k);
    }
    for (uint32_t d = 1; d < dimensions; d++) {
        if (d < TABLE_DIMENSIONS) {
            const struct entry *entry = &table[d - 1];
            uint64_t initial[DEGREE_MAX];
            for (uint32_t k = 0; k < entry->degree; k++) {
                initial[k] = entry->initial[k];
            }
            extend(sobol->direction[d], entry->degree, entry->inner, initial);
            degree = entry->degree;
            polynomial = UINT32_C(1) << degree | (uint32_t)entry->inner << 1 | 1;
        } else {
            next_polynomial(&degree, &polynomial);
            draw_initial(sobol, d, degree, polynomial);
        }
    }
    for (uint32_t d = 0; shift_seed && d < dimensions; d++) {
        sobol->shift[d] = random_u64(shift_seed, STREAM_SHIFT, d);
    }
}

void sobol_point(const struct sobol *sobol, uint64_t index, double *ret_point)
{
    uint64_t gray = index ^ index >> 1;
    for (uint32_t d = 0; d < sobol->dimensions; d++) {
        uint64_t bits = sobol->shift[d];
        for (uint32_t k = 0; k < SOBOL_BITS && gray >> k; k++) {
            bits ^= gray >> k & 1 ? sobol->direction[d][k] : 0;
        }
        ret_point[d] = (double)(bits >> 11) * 0x1p-53;
    }
}
