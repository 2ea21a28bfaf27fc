/*
 * What an ELF file says about itself, read from its bytes: nothing of the file is mapped
 * executable or run, and no length or offset in it is believed before it is checked.
 *
 * This is the ground on which a policy file is judged before dlopen. Only 64-bit little-endian
 * files are understood; of any other ELF file only class, machine and type are reported.
 */
#ifndef BASE_ELF_FACTS_H
#define BASE_ELF_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ELF_NAMES_MAX = 32,      /* names kept of each kind; the counts go on */
    ELF_NAME_BYTES_MAX = 63, /* longer names are cut */
    ELF_NOTE_BYTES_MAX = 4096
};

struct elf_names {
    uint32_t count; /* of the file; min(count, ELF_NAMES_MAX) are kept */
    char name[ELF_NAMES_MAX][ELF_NAME_BYTES_MAX + 1];
};

struct elf_facts {
    uint8_t elf_class;  /* 1: 32 bit, 2: 64 bit */
    uint8_t data;       /* 1: little endian, 2: big endian */
    uint16_t machine;   /* EM_* */
    uint16_t type;      /* ET_* */
    bool has_dynamic;   /* a dynamic section with symbol table */
    bool has_note;      /* a note of the given owner and type */
    bool note_too_long; /* it is there, but longer than ELF_NOTE_BYTES_MAX */

    bool has_init; /* DT_INIT, DT_INIT_ARRAY or DT_PREINIT_ARRAY with content */
    bool has_fini;
    bool has_tls;
    bool has_rpath; /* DT_RPATH or DT_RUNPATH */
    bool has_textrel;
    bool has_exec_stack;    /* PT_GNU_STACK executable, or absent */
    bool has_writable_code; /* a segment both writable and executable */
    bool has_unique;        /* a symbol of binding STB_GNU_UNIQUE */
    bool has_irelative;     /* a relocation or symbol that runs code at load time */
    bool has_relro;
    bool has_bind_now;

    struct elf_names needed;
    struct elf_names exported;  /* defined, global or weak, default or protected visibility */
    struct elf_names undefined; /* global; weak ones are in undefined_weak */
    struct elf_names undefined_weak;

    uint32_t note_bytes; /* of note[], without padding */
    char note[ELF_NOTE_BYTES_MAX + 1];
};

/*
 * Reads the facts of a file's bytes. `note_owner` and `note_type` select the note whose content is
 * kept. -ENOEXEC: no ELF file, or one whose tables contradict its size, with one line in `err`.
 * A file of another class, byte order or machine is no error: the first five members then say so
 * and nothing else is filled.
 */
int elf_facts_read(struct elf_facts *ret_facts, const void *bytes, size_t size,
                   const char *note_owner, uint32_t note_type, char *err, size_t err_size);

/* "x86-64", "aarch64", ...; "machine N" into `text` for the rest. */
const char *elf_machine_name(uint16_t machine, char *text, size_t size);

#endif
