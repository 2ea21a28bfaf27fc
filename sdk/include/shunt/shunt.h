/* All of the policy ABI. */
#ifndef SHUNT_SHUNT_H
#define SHUNT_SHUNT_H

#include <shunt/ext.h>
#include <shunt/host.h>
#include <shunt/index.h>
#include <shunt/params.h>
#include <shunt/pick.h>
#include <shunt/policy.h>
#include <shunt/snapshot.h>
#include <shunt/types.h>
#include <shunt/version.h>

#endif
