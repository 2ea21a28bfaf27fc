/*
 * Words for the numbers of the core and the ABI, one place for metrics, logs, admin answers and
 * reports. They are part of the admin and metrics interfaces: never renamed. A number without a
 * word gives "other". All texts are static.
 */
#ifndef HOST_WORDS_H
#define HOST_WORDS_H

#include <stdint.h>

const char *words_outcome(uint32_t value);        /* SHUNT_OUTCOME_* */
const char *words_reject(uint32_t value);         /* enum core_reject */
const char *words_device_state(uint32_t value);   /* SHUNT_DEVICE_* */
const char *words_instance_state(uint32_t value); /* SHUNT_INSTANCE_* */
const char *words_tier(uint32_t value);           /* SHUNT_TIER_* */
const char *words_cause(uint32_t value);          /* SHUNT_CAUSE_* */
const char *words_action(uint32_t value);         /* SHUNT_STAY ... */
const char *words_reason(uint32_t value); /* SHUNT_REASON_*; "custom" from SHUNT_REASON_CUSTOM on */
const char *words_guard(uint32_t value);  /* enum core_guard_kind */
const char *words_verdict(uint32_t value); /* enum core_verdict */
const char *words_wait(uint32_t value);    /* enum core_wait */
const char *words_why(uint32_t value);     /* a bit number of SHUNT_WHY_* */

#endif
