/*
 * The emulator's words. Any change here breaks clients that check answers, tests/e2e among them.
 */
#include "tools/emulate_text.h"

#include "core/rng.h"

#include <stdio.h>

uint64_t emulate_key_add(uint64_t key, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        key = (key ^ (uint8_t)text.data[i]) * UINT64_C(0x100000001b3);
    }
    return key;
}

size_t emulate_word(uint64_t key, uint64_t index, char word[EMULATE_WORD_MAX])
{
    static const char consonants[] = "bcdfghjklmnprstv", vowels[] = "aeiouyaeiouyaeio";
    if (index == 0) {
        return (size_t)snprintf(word, EMULATE_WORD_MAX, "%016llx", (unsigned long long)key);
    }
    uint64_t bits = core_mix64(key + (index - 1) * UINT64_C(0x9e3779b97f4a7c15));
    word[0] = ' ';
    for (size_t i = 1; i < 5; i++, bits >>= 4) {
        word[i] = (i % 2 ? consonants : vowels)[bits & 15];
    }
    word[5] = '\0';
    return 5;
}
