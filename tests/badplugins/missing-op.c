/* Lacks one of the mandatory ops. */
#include "bad.h"

static const mr_store_ops ops = {.open = bad_open,
                                 .close = bad_close,
                                 .create = bad_create,
                                 .abort = bad_id,
                                 .get = bad_get,
                                 .release = bad_id,
                                 .remove = bad_id};
MR_PLUGIN(MR_KIND_STORE, "missing-op", "a plugin that is wrong", ops, NULL, 0)
