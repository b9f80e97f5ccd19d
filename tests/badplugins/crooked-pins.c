/* Removes what is pinned. */
#include "crooked.h"

static mr_status crooked_remove(void *self, mr_id id)
{
    object *o = find(self, id);
    if (!o || !o->sealed)
        return MR_E_NOTFOUND;
    drop(self, o);
    return MR_OK;
}

CROOKED("crooked-pins", remove, crooked_remove)
