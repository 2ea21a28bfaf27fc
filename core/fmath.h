/*
 * Elementary functions with one result on every machine and build: plain IEEE double arithmetic in
 * a fixed order, no library, no contraction. Accuracy: within 2 units in the last place of the true
 * value over the whole range (tests/unit/core/test_fmath.c measures it). Special values follow C.
 */
#ifndef CORE_FMATH_H
#define CORE_FMATH_H

double core_exp(double x);
double core_log(double x);
double core_pow(double x, double y);
double core_sqrt(double x); /* correctly rounded, as IEEE 754 demands */

#endif
