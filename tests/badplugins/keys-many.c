/* Says it has a thousand keys. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_conf_key keys[] = {{"a", MR_CONF_INT, "1", "a number"}};
MR_PLUGIN(MR_KIND_STORE, "keys-many", "a plugin that is wrong", ops, keys, 1000)
