/* named.c: values that outlive the session, under names; the engine keeps them. */
#include "api/session.h"

static mr_status enter(mr_session *s, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st || s->port->ops->named_save)
        return st;
    mr_session_leave(s);
    return mr_err_set(err, MR_E_UNSUPPORTED, "only the driver saves and loads values, not a worker");
}

mr_status mr_save(mr_session *s, const char *name, mr_id id, mr_err *err)
{
    mr_value v;
    mr_status st = enter(s, err);
    if (st)
        return st;
    st = mr_get(s, &id, 1, -1, 0, &v, err);
    if (!st && v.status)
        st = mr_err_set(err, v.status, "\"%s\": %s", name, mr_status_text(v.status));
    else if (!st && v.error)
        st = mr_err_set(err, MR_E_INVAL, "\"%s\": the value is an error", name);
    else if (!st)
        st = s->port->ops->named_save(s->port, name, &v, err);
    if (v.data)
        mr_release(s, id);
    mr_session_leave(s);
    return st;
}

mr_status mr_load(mr_session *s, const char *name, mr_id *out, mr_err *err)
{
    mr_value v;
    mr_status st = enter(s, err);
    if (st)
        return st;
    st = s->port->ops->named_look(s->port, name, &v, err);
    if (!st) {
        st = mr_put(s, v.format, v.data, v.len, NULL, 0, out, err);
        s->port->ops->named_end(s->port, name, false, NULL);
    }
    mr_session_leave(s);
    return st;
}

mr_status mr_unsave(mr_session *s, const char *name, mr_err *err)
{
    mr_status st = enter(s, err);
    if (st)
        return st;
    st = s->port->ops->named_end(s->port, name, true, err);
    mr_session_leave(s);
    return st;
}
