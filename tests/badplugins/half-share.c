/* Can be shared but not attached to. */
#include "bad.h"

static mr_status half_share(void *self, mr_share *out)
{
    (void)self, (void)out;
    return MR_E_IO;
}

static const mr_store_ops ops = {BAD_MANDATORY, .share = half_share};
MR_PLUGIN(MR_KIND_STORE, "half-share", "a plugin that is wrong", ops, NULL, 0)
