/* ELF facts and the note's text from arbitrary bytes. */
#include "base/elf_facts.h"
#include "base/plugin.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[256];
    static struct elf_facts facts;
    if (elf_facts_read(&facts, data, size, "shunt", SHUNT_NOTE_TYPE, err, sizeof err) == 0 &&
        facts.has_note) {
        struct plugin_note note;
        (void)plugin_note_parse(&note, facts.note, err, sizeof err);
    }
    return 0;
}
