/* A default that its own type refuses. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_conf_key keys[] = {{"size", MR_CONF_BYTES, "twelve", "how large"}};
MR_PLUGIN(MR_KIND_STORE, "keys-bad-default", "a plugin that is wrong", ops, keys, 1)
