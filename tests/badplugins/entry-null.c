/* The entry answers nothing. */
#include "bad.h"

MR_EXPORT const mr_plugin *mr_plugin_entry(void);
const mr_plugin *mr_plugin_entry(void)
{
    return NULL;
}
