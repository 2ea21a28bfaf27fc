/*
 * Reading an ELF file's facts with every offset checked. The view is the loader's: program headers
 * and the dynamic section. Section headers, which the loader ignores, are ignored here, too, so
 * that both sides judge the same file.
 */
#include "base/elf_facts.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef DT_AUXILIARY
#define DT_AUXILIARY 0x7ffffffd
#endif
#ifndef DT_FILTER
#define DT_FILTER 0x7fffffff
#endif
#ifndef STB_GNU_UNIQUE
#define STB_GNU_UNIQUE 10
#endif

enum { SEGMENTS_MAX = 64, DYNAMIC_MAX = 4096, SYMBOLS_MAX = 1 << 20 };

struct image {
    const uint8_t *bytes;
    size_t size;
    Elf64_Ehdr header;
    uint32_t segment_count;
    Elf64_Phdr segment[SEGMENTS_MAX];
    char *err;
    size_t err_size;
};

/* What the dynamic section says, addresses as they stand there. */
struct dynamic {
    uint64_t strtab, strtab_bytes;
    uint64_t symtab, syment;
    uint64_t hash, gnu_hash;
    uint64_t rela, rela_bytes;
    uint64_t plt, plt_bytes;
};

static int bad(const struct image *image, const char *what)
{
    if (image->err_size > 0) {
        (void)snprintf(image->err, image->err_size, "damaged ELF file: %s", what);
    }
    return -ENOEXEC;
}

/* Copies `bytes` at file offset `offset`; false if they are not all inside. */
static bool get(const struct image *image, uint64_t offset, void *to, size_t bytes)
{
    if (offset > image->size || bytes > image->size - offset) {
        return false;
    }
    memcpy(to, image->bytes + offset, bytes);
    return true;
}

/* File offset of `bytes` at virtual address `address`, or UINT64_MAX if the file does not hold
 * them in one segment. */
static uint64_t offset_of(const struct image *image, uint64_t address, uint64_t bytes)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const Elf64_Phdr *it = &image->segment[i];
        if (it->p_type != PT_LOAD || address < it->p_vaddr) {
            continue;
        }
        uint64_t into = address - it->p_vaddr;
        if (into <= it->p_filesz && bytes <= it->p_filesz - into && it->p_offset <= image->size &&
            it->p_filesz <= image->size - it->p_offset) {
            return it->p_offset + into;
        }
    }
    return UINT64_MAX;
}

static bool get_at(const struct image *image, uint64_t address, void *to, size_t bytes)
{
    uint64_t offset = offset_of(image, address, bytes);
    return offset != UINT64_MAX && get(image, offset, to, bytes);
}

static void add_name(struct elf_names *names, const char *name)
{
    if (names->count < ELF_NAMES_MAX) {
        (void)snprintf(names->name[names->count], sizeof names->name[0], "%s", name);
    }
    names->count++;
}

/* The string at `index` of the dynamic string table, cut to the buffer; false if it does not end
 * inside the table. */
static bool get_string(const struct image *image, const struct dynamic *dynamic, uint64_t index,
                       char text[ELF_NAME_BYTES_MAX + 1])
{
    uint64_t offset = offset_of(image, dynamic->strtab, dynamic->strtab_bytes);
    if (offset == UINT64_MAX || index >= dynamic->strtab_bytes) {
        return false;
    }
    const char *start = (const char *)image->bytes + offset + index;
    const char *end = memchr(start, '\0', (size_t)(dynamic->strtab_bytes - index));
    if (!end) {
        return false;
    }
    size_t length = (size_t)(end - start);
    length = length < ELF_NAME_BYTES_MAX ? length : ELF_NAME_BYTES_MAX;
    memcpy(text, start, length);
    text[length] = '\0';
    return true;
}

/* ------------------------------------------------------------------ segments and notes */

static int read_segments(struct image *image, struct elf_facts *facts)
{
    const Elf64_Ehdr *header = &image->header;
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
        header->e_phnum > SEGMENTS_MAX) {
        return bad(image, "program headers");
    }
    bool stack_seen = false;
    for (uint32_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr *it = &image->segment[i];
        if (header->e_phoff > image->size ||
            !get(image, header->e_phoff + (uint64_t)i * sizeof *it, it, sizeof *it)) {
            return bad(image, "program headers beyond the end");
        }
        if (it->p_type == PT_LOAD &&
            (it->p_offset > image->size || it->p_filesz > image->size - it->p_offset ||
             it->p_filesz > it->p_memsz)) {
            return bad(image, "a segment beyond the end");
        }
        facts->has_tls |= it->p_type == PT_TLS;
        facts->has_relro |= it->p_type == PT_GNU_RELRO;
        facts->has_writable_code |=
            it->p_type == PT_LOAD && (it->p_flags & PF_W) && (it->p_flags & PF_X);
        if (it->p_type == PT_GNU_STACK) {
            stack_seen = true;
            facts->has_exec_stack |= (it->p_flags & PF_X) != 0;
        }
        image->segment_count = i + 1;
    }
    facts->has_exec_stack |= !stack_seen;
    return 0;
}

/* Looks for the wanted note among the notes of one segment; damaged notes end the search. */
static void read_notes(const struct image *image, const Elf64_Phdr *segment, const char *owner,
                       uint32_t type, struct elf_facts *facts)
{
    uint64_t at = segment->p_offset;
    if (at > image->size || segment->p_filesz > image->size - at) {
        return;
    }
    uint64_t end = at + segment->p_filesz;
    while (end - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        (void)get(image, at, &note, sizeof note);
        at += sizeof note;
        uint64_t name_bytes = ((uint64_t)note.n_namesz + 3) & ~UINT64_C(3);
        uint64_t desc_bytes = ((uint64_t)note.n_descsz + 3) & ~UINT64_C(3);
        if (name_bytes > end - at || desc_bytes > end - at - name_bytes) {
            return;
        }
        size_t owner_bytes = strlen(owner) + 1;
        if (note.n_type == type && note.n_namesz == owner_bytes &&
            memcmp(image->bytes + at, owner, owner_bytes) == 0 && !facts->has_note) {
            facts->has_note = true;
            facts->note_too_long = note.n_descsz > ELF_NOTE_BYTES_MAX;
            if (!facts->note_too_long) {
                memcpy(facts->note, image->bytes + at + name_bytes, note.n_descsz);
                facts->note[note.n_descsz] = '\0';
                facts->note_bytes = (uint32_t)strlen(facts->note);
            }
        }
        at += name_bytes + desc_bytes;
    }
}

/* ------------------------------------------------------------------ dynamic section */

/* One entry of the dynamic section into facts and addresses. Entries that load code (needed,
 * filters, auditors) have been counted by the caller. */
static void take_dynamic(struct dynamic *dynamic, struct elf_facts *facts, uint64_t tag,
                         uint64_t value)
{
    switch (tag) {
    case DT_STRTAB:
        dynamic->strtab = value;
        break;
    case DT_STRSZ:
        dynamic->strtab_bytes = value;
        break;
    case DT_SYMTAB:
        dynamic->symtab = value;
        break;
    case DT_SYMENT:
        dynamic->syment = value;
        break;
    case DT_HASH:
        dynamic->hash = value;
        break;
    case DT_GNU_HASH:
        dynamic->gnu_hash = value;
        break;
    case DT_RELA:
        dynamic->rela = value;
        break;
    case DT_RELASZ:
        dynamic->rela_bytes = value;
        break;
    case DT_JMPREL:
        dynamic->plt = value;
        break;
    case DT_PLTRELSZ:
        dynamic->plt_bytes = value;
        break;
    case DT_INIT:
        facts->has_init = true;
        break;
    case DT_INIT_ARRAYSZ:
    case DT_PREINIT_ARRAYSZ:
        facts->has_init |= value > 0;
        break;
    case DT_FINI:
        facts->has_fini = true;
        break;
    case DT_FINI_ARRAYSZ:
        facts->has_fini |= value > 0;
        break;
    case DT_RPATH:
    case DT_RUNPATH:
        facts->has_rpath = true;
        break;
    case DT_TEXTREL:
        facts->has_textrel = true;
        break;
    case DT_BIND_NOW:
        facts->has_bind_now = true;
        break;
    case DT_FLAGS:
        facts->has_textrel |= (value & DF_TEXTREL) != 0;
        facts->has_bind_now |= (value & DF_BIND_NOW) != 0;
        facts->has_tls |= (value & DF_STATIC_TLS) != 0;
        break;
    case DT_FLAGS_1:
        facts->has_bind_now |= (value & DF_1_NOW) != 0;
        break;
    default:
        break;
    }
}

static bool loads_library(uint64_t tag)
{
    return tag == DT_NEEDED || tag == DT_AUXILIARY || tag == DT_FILTER || tag == DT_AUDIT ||
           tag == DT_DEPAUDIT;
}

static int read_dynamic(const struct image *image, const Elf64_Phdr *segment,
                        struct dynamic *dynamic, struct elf_facts *facts)
{
    uint64_t count = segment->p_filesz / sizeof(Elf64_Dyn);
    if (count > DYNAMIC_MAX) {
        return bad(image, "dynamic section too long");
    }
    /* The string table's place must be known before names are read: two passes. */
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0; i < count; i++) {
            Elf64_Dyn entry;
            /* By address, as the loader reads it; a file whose p_offset says otherwise shows the
             * loader something else than a reader of offsets. */
            if (!get_at(image, segment->p_vaddr + i * sizeof entry, &entry, sizeof entry)) {
                return bad(image, "dynamic section beyond the end");
            }
            if (entry.d_tag == DT_NULL) {
                break;
            }
            uint64_t tag = (uint64_t)entry.d_tag;
            if (pass == 0) {
                take_dynamic(dynamic, facts, tag, entry.d_un.d_val);
            } else if (loads_library(tag)) {
                char name[ELF_NAME_BYTES_MAX + 1];
                if (!get_string(image, dynamic, entry.d_un.d_val, name)) {
                    return bad(image, "name of a needed library");
                }
                add_name(&facts->needed, name);
            }
        }
    }
    return 0;
}

/* ------------------------------------------------------------------ symbols, relocations */

/* Number of symbols by the GNU hash table: the last chain's end. */
static int count_gnu_hash(const struct image *image, uint64_t address, uint64_t *ret_count)
{
    uint32_t head[4]; /* buckets, first hashed symbol, bloom words, shift */
    if (!get_at(image, address, head, sizeof head) || head[0] > SYMBOLS_MAX ||
        head[1] > SYMBOLS_MAX || head[2] > SYMBOLS_MAX) {
        return bad(image, "hash table");
    }
    uint64_t buckets = address + sizeof head + (uint64_t)head[2] * 8;
    uint64_t chains = buckets + (uint64_t)head[0] * 4;
    uint64_t last = 0;
    for (uint32_t i = 0; i < head[0]; i++) {
        uint32_t bucket = 0;
        if (!get_at(image, buckets + (uint64_t)i * 4, &bucket, sizeof bucket)) {
            return bad(image, "hash table");
        }
        last = bucket > last ? bucket : last;
    }
    if (last < head[1]) {
        *ret_count = head[1];
        return 0;
    }
    for (;; last++) {
        uint32_t chain = 0;
        if (last > SYMBOLS_MAX ||
            !get_at(image, chains + (last - head[1]) * 4, &chain, sizeof chain)) {
            return bad(image, "hash table");
        }
        if (chain & 1) {
            *ret_count = last + 1;
            return 0;
        }
    }
}

static int count_symbols(const struct image *image, const struct dynamic *dynamic,
                         uint64_t *ret_count)
{
    if (dynamic->gnu_hash) {
        return count_gnu_hash(image, dynamic->gnu_hash, ret_count);
    }
    uint32_t head[2]; /* buckets, chains */
    if (!dynamic->hash) {
        *ret_count = 0;
        return 0;
    }
    if (!get_at(image, dynamic->hash, head, sizeof head) || head[1] > SYMBOLS_MAX) {
        return bad(image, "hash table");
    }
    *ret_count = head[1];
    return 0;
}

/* Scans one relocation table: code that runs at load time, and symbols beyond the hash table. */
static int read_relocations(const struct image *image, uint64_t address, uint64_t bytes,
                            struct elf_facts *facts, uint64_t *symbol_count)
{
    uint64_t count = bytes / sizeof(Elf64_Rela);
    uint64_t offset = count > 0 ? offset_of(image, address, bytes) : 0;
    if (offset == UINT64_MAX) {
        return bad(image, "relocations beyond the end");
    }
    for (uint64_t i = 0; i < count; i++) {
        Elf64_Rela it;
        (void)get(image, offset + i * sizeof it, &it, sizeof it);
        uint64_t type = ELF64_R_TYPE(it.r_info);
        uint64_t symbol = ELF64_R_SYM(it.r_info);
        facts->has_irelative |= (facts->machine == EM_X86_64 && type == R_X86_64_IRELATIVE) ||
                                (facts->machine == EM_AARCH64 && type == R_AARCH64_IRELATIVE);
        if (symbol >= *symbol_count) {
            if (symbol > SYMBOLS_MAX) {
                return bad(image, "relocation against no symbol");
            }
            *symbol_count = symbol + 1;
        }
    }
    return 0;
}

static int read_symbols(const struct image *image, const struct dynamic *dynamic, uint64_t count,
                        struct elf_facts *facts)
{
    for (uint64_t i = 1; i < count; i++) {
        Elf64_Sym symbol;
        char name[ELF_NAME_BYTES_MAX + 1];
        if (!get_at(image, dynamic->symtab + i * sizeof symbol, &symbol, sizeof symbol) ||
            !get_string(image, dynamic, symbol.st_name, name)) {
            return bad(image, "symbols");
        }
        unsigned binding = ELF64_ST_BIND(symbol.st_info), type = ELF64_ST_TYPE(symbol.st_info);
        unsigned visibility = ELF64_ST_VISIBILITY(symbol.st_other);
        facts->has_unique |= binding == STB_GNU_UNIQUE;
        facts->has_irelative |= type == STT_GNU_IFUNC;
        facts->has_tls |= type == STT_TLS;
        if (binding == STB_LOCAL || name[0] == '\0') {
            continue;
        }
        if (symbol.st_shndx == SHN_UNDEF) {
            add_name(binding == STB_WEAK ? &facts->undefined_weak : &facts->undefined, name);
        } else if (visibility == STV_DEFAULT || visibility == STV_PROTECTED) {
            add_name(&facts->exported, name);
        }
    }
    return 0;
}

static int read_dynamic_facts(const struct image *image, struct elf_facts *facts)
{
    const Elf64_Phdr *found = NULL;
    for (uint32_t i = 0; i < image->segment_count; i++) {
        if (image->segment[i].p_type == PT_DYNAMIC) {
            if (found) {
                return bad(image, "two dynamic sections");
            }
            found = &image->segment[i];
        }
    }
    if (!found) {
        return 0;
    }
    struct dynamic dynamic = {0};
    int rc = read_dynamic(image, found, &dynamic, facts);
    if (rc) {
        return rc;
    }
    if (!dynamic.symtab || !dynamic.strtab || dynamic.syment != sizeof(Elf64_Sym)) {
        return 0;
    }
    facts->has_dynamic = true;
    uint64_t count = 0;
    rc = count_symbols(image, &dynamic, &count);
    if (rc == 0) {
        rc = read_relocations(image, dynamic.rela, dynamic.rela_bytes, facts, &count);
    }
    if (rc == 0) {
        rc = read_relocations(image, dynamic.plt, dynamic.plt_bytes, facts, &count);
    }
    if (rc == 0) {
        rc = read_symbols(image, &dynamic, count, facts);
    }
    return rc;
}

/* ------------------------------------------------------------------ entry */

static int read_all(struct image *image, struct elf_facts *facts, const char *note_owner,
                    uint32_t note_type)
{
    uint8_t ident[EI_NIDENT + 4]; /* with type and machine, which stand in one place for all */
    if (!get(image, 0, ident, sizeof ident) || memcmp(ident, ELFMAG, SELFMAG) != 0) {
        if (image->err_size > 0) {
            (void)snprintf(image->err, image->err_size, "not an ELF file");
        }
        return -ENOEXEC;
    }
    facts->elf_class = ident[EI_CLASS];
    facts->data = ident[EI_DATA];
    bool big = facts->data == ELFDATA2MSB;
    facts->type = (uint16_t)(ident[16 + big] | ident[17 - big] << 8);
    facts->machine = (uint16_t)(ident[18 + big] | ident[19 - big] << 8);
    if (facts->elf_class != ELFCLASS64 || facts->data != ELFDATA2LSB) {
        return 0;
    }
    if (!get(image, 0, &image->header, sizeof image->header)) {
        return bad(image, "header cut short");
    }
    int rc = read_segments(image, facts);
    if (rc) {
        return rc;
    }
    for (uint32_t i = 0; i < image->segment_count; i++) {
        if (image->segment[i].p_type == PT_NOTE) {
            read_notes(image, &image->segment[i], note_owner, note_type, facts);
        }
    }
    return read_dynamic_facts(image, facts);
}

int elf_facts_read(struct elf_facts *ret_facts, const void *bytes, size_t size,
                   const char *note_owner, uint32_t note_type, char *err, size_t err_size)
{
    struct image image = {.bytes = bytes, .size = size, .err = err, .err_size = err_size};
    struct elf_facts *facts = calloc(1, sizeof *facts);
    if (!facts) {
        return bad(&image, "no memory to read it");
    }
    int rc = read_all(&image, facts, note_owner, note_type);
    if (rc == 0) {
        *ret_facts = *facts;
    }
    free(facts);
    return rc;
}

const char *elf_machine_name(uint16_t machine, char *text, size_t size)
{
    const char *name = machine == EM_X86_64    ? "x86-64"
                       : machine == EM_AARCH64 ? "aarch64"
                       : machine == EM_386     ? "i386"
                       : machine == EM_ARM     ? "arm"
                       : machine == EM_RISCV   ? "riscv"
                       : machine == EM_PPC64   ? "ppc64"
                       : machine == EM_S390    ? "s390"
                                               : NULL;
    if (name) {
        (void)snprintf(text, size, "%s", name);
    } else {
        (void)snprintf(text, size, "machine %u", machine);
    }
    return text;
}
