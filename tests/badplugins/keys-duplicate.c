/* Declares a key twice. */
#include "bad.h"

BAD_STORE_OPS;
static const mr_conf_key keys[] = {{"size", MR_CONF_BYTES, "1M", "how large"},
                                   {"mode", MR_CONF_TEXT, NULL, "how"},
                                   {"size", MR_CONF_INT, "1", "how many"}};
MR_PLUGIN(MR_KIND_STORE, "keys-duplicate", "a plugin that is wrong", ops, keys, 3)
