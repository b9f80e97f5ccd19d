/* Keeps the bytes of what was removed. */
#include "crooked.h"

static mr_status crooked_remove(void *self, mr_id id)
{
    mr_entry *e = mr_book_find(self, id);
    if (e && e->sealed && !e->pins)
        e->data = NULL;
    return mr_book_remove(self, id);
}

CROOKED("crooked-hoard", remove, crooked_remove)
