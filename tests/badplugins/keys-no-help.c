/* A key that nobody can understand. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_conf_key keys[] = {{"size", MR_CONF_BYTES, "12M", NULL}};
MR_PLUGIN(MR_KIND_STORE, "keys-no-help", "a plugin that is wrong", ops, keys, 1)
