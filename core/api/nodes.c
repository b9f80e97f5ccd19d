/* nodes.c: changes of the node list while it runs: nodes, the scheduling policy; the engine does it.  No lock of its
 * own. */
#include "api/session.h"

mr_status mr_node_add(mr_session *s, const mr_node_def *def, uint32_t *out, mr_err *err)
{
    if (!def || def->size != sizeof(*def))
        return mr_err_set(err, MR_E_ABI,
                          "mr_node_def of %zu bytes, this library knows %zu: start from MR_NODE_DEF_INIT",
                          def ? def->size : 0, sizeof(*def));
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    if (s->port->ops->node_add)
        st = s->port->ops->node_add(s->port, def, out, err);
    else
        st = mr_err_set(err, MR_E_UNSUPPORTED, "only the driver adds nodes, not a worker");
    mr_session_leave(s);
    return st;
}

mr_status mr_node_remove(mr_session *s, uint32_t node, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    if (s->port->ops->node_remove)
        st = s->port->ops->node_remove(s->port, node, err);
    else
        st = mr_err_set(err, MR_E_UNSUPPORTED, "only the driver removes nodes, not a worker");
    mr_session_leave(s);
    return st;
}

mr_status mr_set_policy(mr_session *s, const char *policy, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    if (!s->port->ops->policy)
        st = mr_err_set(err, MR_E_UNSUPPORTED, "only the driver changes the scheduling policy, not a worker");
    else if (!policy || !*policy)
        st = mr_err_set(err, MR_E_INVAL, "the policy is a file NAME.lua, a plugin's name, or the path of its .so");
    else
        st = s->port->ops->policy(s->port, policy, err);
    mr_session_leave(s);
    return st;
}
