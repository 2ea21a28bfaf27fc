/*
 * Version of the policy ABI. The rules for changing it, and the log of every member, are in
 * ABI.md. The major is part of the exported symbol's name (shunt_plugin_v1).
 */
#ifndef SHUNT_VERSION_H
#define SHUNT_VERSION_H

#define SHUNT_ABI_MAJOR 1u
#define SHUNT_ABI_MINOR 0u
/* SHUNT_ABI_MINOR as the note's text. */
#define SHUNT_ABI_MINOR_TEXT "0"

#endif
