/* Shows objects before they are sealed. */
#include "crooked.h"

static mr_status crooked_create(void *self, mr_id id, uint64_t len, mr_region *out)
{
    mr_status status = mem_create(self, id, len, out);
    if (!status)
        mr_book_find(self, id)->sealed = true;
    return status;
}

CROOKED("crooked-seal", create, crooked_create)
