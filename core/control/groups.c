/* groups.c: placement groups.  This node has none; the event is answered so that a program learns it at the call. */
#include "control/room.h"

mr_status mr_group_event(mr_control *c, const mr_record *r)
{
    const mr_ev_group *e = (const void *)r;
    return mr_control_refuse(
        c, MR_E_UNSUPPORTED,
        "placement group %llx: placement groups are not supported; use resources, node affinity or SPREAD",
        (unsigned long long)e->id);
}
