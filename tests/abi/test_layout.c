/* The ABI's structs lie in memory as tests/abi/layout.def says. */
#include <shunt/shunt.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_layout(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t is, should;
    } facts[] = {
#define ABI_STRUCT(type, size) {#type, sizeof(struct type), (size)},
#define ABI_MEMBER(type, member, offset, size)                                                     \
    {#type "." #member, offsetof(struct type, member), (offset)},                                  \
        {#type "." #member " (size)", sizeof(((struct type *)0)->member), (size)},
#include "layout.def"
    };
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        if (facts[i].is != facts[i].should) {
            fail_msg("%s: %zu instead of %zu", facts[i].name, facts[i].is, facts[i].should);
        }
    }
}

/* No hidden padding: the bytes of a decision or event are journalled and compared. */
static void test_no_hidden_padding(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t struct_bytes, member_bytes;
    } facts[] = {
#undef ABI_STRUCT
#undef ABI_MEMBER
#define ABI_STRUCT(type, size)                 {#type, sizeof(struct type), 0},
#define ABI_MEMBER(type, member, offset, size) {"", 0, sizeof(((struct type *)0)->member)},
#include "layout.def"
    };
    size_t count = sizeof facts / sizeof facts[0];
    for (size_t i = 0; i < count;) {
        size_t first = i, sum = 0;
        for (i++; i < count && facts[i].name[0] == '\0'; i++) {
            sum += facts[i].member_bytes;
        }
        if (sum != facts[first].struct_bytes) {
            fail_msg("%s: %zu bytes of padding", facts[first].name,
                     facts[first].struct_bytes - sum);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_no_hidden_padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
