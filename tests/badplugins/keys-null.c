/* Says it has keys, and has no table of them. */
#include "bad.h"

BAD_STORE_OPS;
MR_PLUGIN(MR_KIND_STORE, "keys-null", "a plugin that is wrong", ops, NULL, 3)
