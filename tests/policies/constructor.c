/* Runs code when it is loaded and leaves a mark: the file that $SHUNT_TEST_MARK names. */
#include <shunt/shunt.h>

#include <fcntl.h>
#include <stdlib.h>

__attribute__((constructor)) static void mark(void)
{
    const char *path = getenv("SHUNT_TEST_MARK");
    if (path) {
        (void)open(path, O_CREAT | O_WRONLY, 0600);
    }
}

static int decide(void *self, const struct shunt_ask *ask, struct shunt_answer *answer)
{
    (void)self;
    (void)ask;
    return shunt_stay(&answer->decisions[0], SHUNT_REASON_NONE);
}

static const struct shunt_policy_ops ops = {.size = sizeof ops, .decide = decide};

SHUNT_POLICY_DEFINE("constructor", "1.0.0", "MIT", "Refused.", 0, 0, .ops = &ops);
