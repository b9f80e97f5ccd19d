/* Removes what is pinned. */
#include "crooked.h"

static mr_status crooked_remove(void *self, mr_id id)
{
    mr_entry *e = mr_book_find(self, id);
    if (!e || !e->sealed)
        return MR_E_NOTFOUND;
    mr_book_drop(self, e);
    return MR_OK;
}

CROOKED("crooked-pins", remove, crooked_remove)
