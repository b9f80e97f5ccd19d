/* Forgets to count what abort gives back. */
#include "crooked.h"

static mr_status crooked_abort(void *self, mr_id id)
{
    uint64_t used = ((mr_book *)self)->used;
    mr_status status = mr_book_abort(self, id);
    ((mr_book *)self)->used = used;
    return status;
}

CROOKED("crooked-books", abort, crooked_abort)
