/*
 * Questions to one policy about one device, for the tests of this folder: a snapshot by hand, and
 * the decision in one line.
 */
#ifndef TESTS_POLICIES_DECIDE_FIXTURE_H
#define TESTS_POLICIES_DECIDE_FIXTURE_H

#include "snapshot_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

extern const struct shunt_plugin shunt_plugin_v1;

static const struct shunt_decision *ask(struct fixture *f, uint32_t why)
{
    return &fixture_ask(f, 0, why)->decisions[0];
}

static void in_flight(const struct fixture *f, uint32_t model, uint32_t count)
{
    FIXTURE_U32(f, IN_FLIGHT)[model] = count;
}

#define assert_goes_to(decision, wanted)                                                           \
    do {                                                                                           \
        const struct shunt_decision *decided_ = (decision);                                        \
        assert_int_equal(decided_->action, SHUNT_SWITCH);                                          \
        assert_int_equal(decided_->model, wanted);                                                 \
    } while (0)

#define assert_stays(decision) assert_int_equal((decision)->action, SHUNT_STAY)

#endif
