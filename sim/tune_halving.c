/* Selection between rungs: see tune_halving.h. */
#include "sim/tune_halving.h"

#include <assert.h>
#include <stdbool.h>

#define SIGNIFICANT 0.05

double sign_test(uint32_t heads, uint32_t tosses)
{
    /* Terms C(n, k) / 2^n from k = n down; the product never overflows as it begins small. */
    double term = 1, tail = 0;
    for (uint32_t i = 0; i < tosses; i++) {
        term /= 2;
    }
    for (uint32_t k = tosses;; k--) {
        if (k >= heads) {
            tail += term;
        }
        if (k == 0 || k < heads) {
            return tail > 1 ? 1 : tail;
        }
        term *= (double)k / (double)(tosses - k + 1);
    }
}

static bool is_kept(const uint32_t *kept, uint32_t count, uint32_t entry)
{
    for (uint32_t i = 0; i < count; i++) {
        if (kept[i] == entry) {
            return true;
        }
    }
    return false;
}

static bool loses(const struct halving_entry *entry, const struct halving_entry *best,
                  uint32_t pairs)
{
    uint32_t worse = 0, differ = 0;
    for (uint32_t i = 0; i < pairs; i++) {
        worse += entry->pairs[i] > best->pairs[i];
        differ += entry->pairs[i] > best->pairs[i] || entry->pairs[i] < best->pairs[i];
    }
    return differ > 0 && sign_test(worse, differ) <= SIGNIFICANT;
}

uint32_t halving_keep(const struct halving_entry *entries, uint32_t count, uint32_t objectives,
                      uint32_t pairs, uint32_t least, uint32_t most, uint32_t *ret_kept,
                      uint32_t *ret_sender)
{
    uint32_t kept = 0;
    assert(objectives > 0);
    while (kept < most && kept < count) {
        uint32_t objective = kept % objectives, best = UINT32_MAX;
        for (uint32_t i = 0; i < count; i++) {
            if (!is_kept(ret_kept, kept, i) &&
                (best == UINT32_MAX ||
                 entries[i].score[objective] < entries[best].score[objective])) {
                best = i;
            }
        }
        if (ret_sender) {
            ret_sender[kept] = objective;
        }
        ret_kept[kept++] = best;
    }
    for (uint32_t i = kept; objectives == 1 && i-- > 1 && kept > least;) {
        if (loses(&entries[ret_kept[i]], &entries[ret_kept[0]], pairs)) {
            kept--;
            for (uint32_t j = i; j < kept; j++) {
                ret_kept[j] = ret_kept[j + 1];
            }
        }
    }
    return kept;
}
