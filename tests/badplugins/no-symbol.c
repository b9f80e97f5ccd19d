/* A shared library that is no plugin. */
#include "bad.h"

MR_EXPORT int something_else(void);
int something_else(void)
{
    return 42;
}
