/*
 * The words that the engine emulator answers with: a pure function of the prompt and the position,
 * so that a client can tell for every byte that it belongs to its own request. Shared by the
 * emulator, which writes them, and the load generator, which checks them.
 */
#ifndef SHUNT_TOOLS_EMULATE_TEXT_H
#define SHUNT_TOOLS_EMULATE_TEXT_H

#include "base/span.h"

#include <stddef.h>
#include <stdint.h>

enum { EMULATE_WORD_MAX = 20 };

/* FNV-1a, 64 bits, over the text of a prompt; begin with EMULATE_KEY_INIT. */
#define EMULATE_KEY_INIT UINT64_C(0xcbf29ce484222325)
uint64_t emulate_key_add(uint64_t key, struct span text);

/*
 * The INDEX-th token of the answer to a prompt with this KEY: first the key in 16 hexadecimal
 * digits, then words of four small letters with a space in front. Returns the length.
 */
size_t emulate_word(uint64_t key, uint64_t index, char word[EMULATE_WORD_MAX]);

#endif
