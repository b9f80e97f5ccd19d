/* Follows a null pointer. */
#include "crooked.h"

static mr_status crooked_get(void *self, mr_id id, mr_region *out)
{
    object *o = find(self, id);
    *out = (mr_region){o->data, o->len, MR_NOWHERE};
    o->pins++;
    return MR_OK;
}

CROOKED("crooked-crash", get, crooked_get)
