/* A key without a name. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_conf_key keys[] = {{NULL, MR_CONF_INT, "1", "a number"}};
MR_PLUGIN(MR_KIND_STORE, "keys-no-name", "a plugin that is wrong", ops, keys, 1)
