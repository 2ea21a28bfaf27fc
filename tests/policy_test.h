/*
 * For the tests of policies: the fixture, and what is asserted of a decision again and again.
 * Include it first; it brings cmocka.
 */
#ifndef TESTS_POLICY_TEST_H
#define TESTS_POLICY_TEST_H

#include "snapshot_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The policy under test: linked into the program. */
extern const struct shunt_plugin shunt_plugin_v1;

/* The decision about device 0. */
static inline const struct shunt_decision *ask(struct fixture *f, uint32_t why)
{
    return &fixture_ask(f, 0, why)->decisions[0];
}

static inline void assert_switch(struct fixture *f, uint32_t why, uint32_t model)
{
    const struct shunt_decision *decision = ask(f, why);
    assert_int_equal(decision->action, SHUNT_SWITCH);
    assert_int_equal(decision->model, model);
}

static inline void assert_stay(struct fixture *f, uint32_t why)
{
    assert_int_equal(ask(f, why)->action, SHUNT_STAY);
}

#endif
