/* Forgets to count what abort gives back. */
#include "crooked.h"

static mr_status crooked_abort(void *self, mr_id id)
{
    uint64_t used = ((store *)self)->used;
    mr_status status = mem_abort(self, id);
    ((store *)self)->used = used;
    return status;
}

CROOKED("crooked-books", abort, crooked_abort)
