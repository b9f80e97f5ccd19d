/* named.h: values under names, in a store that keeps them: the port's ops for mr_save, mr_load and mr_unsave.  No lock;
 * any thread. */
#ifndef MR_ENGINE_PROCESS_NAMED_H
#define MR_ENGINE_PROCESS_NAMED_H

#include "client/port.h"

mr_status mr_named_save(mr_port *p, const char *name, const mr_value *v, mr_err *err);
mr_status mr_named_look(mr_port *p, const char *name, mr_value *out, mr_err *err);
mr_status mr_named_end(mr_port *p, const char *name, bool remove, mr_err *err);

#endif
