/* Leaves memory behind when it is closed. */
#include "crooked.h"

static void crooked_close(void *self)
{
    mr_book_fini(self);
}

CROOKED("crooked-leak", close, crooked_close)
