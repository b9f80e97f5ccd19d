/* Needs a function that nobody has. */
#include "bad.h"

int miniray_nobody_has_this(void);

static mr_status needs(void *self, mr_id id)
{
    (void)self, (void)id;
    return miniray_nobody_has_this() ? MR_OK : MR_E_IO;
}

static const mr_store_ops ops = {.open = bad_open,
                                 .close = bad_close,
                                 .create = bad_create,
                                 .seal = needs,
                                 .abort = bad_id,
                                 .get = bad_get,
                                 .release = bad_id,
                                 .remove = bad_id};
MR_PLUGIN(MR_KIND_STORE, "undefined-symbol", "a plugin that is wrong", ops, NULL, 0)
