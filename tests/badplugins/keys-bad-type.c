/* A type that does not exist. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_conf_key keys[] = {{"size", (mr_conf_type)99, "1", "a number"}};
MR_PLUGIN(MR_KIND_STORE, "keys-bad-type", "a plugin that is wrong", ops, keys, 1)
