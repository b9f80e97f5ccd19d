/* tasks_failing.c: helper_failing.c for processes that are started with LD_PRELOAD. */
#include "helper_failing.c"
