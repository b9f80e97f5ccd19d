/* A key that no file could name. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_conf_key keys[] = {{"two words", MR_CONF_INT, "1", "a number"}};
MR_PLUGIN(MR_KIND_STORE, "keys-bad-name", "a plugin that is wrong", ops, keys, 1)
