/* Leaves memory behind when it is closed. */
#include "crooked.h"

static void crooked_close(void *self)
{
    store *s = self;
    while (s->objects)
        drop(s, s->objects);
}

CROOKED("crooked-leak", close, crooked_close)
