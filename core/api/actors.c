/* actors.c: cancelling, killing, finding by name; reading a stream; looking around.  Owns nothing; no lock. */
#include <stdlib.h>
#include <string.h>

#include "api/session.h"
#include "engine/engine.h"

static mr_status send_cancel(mr_session *s, uint32_t kind, mr_id id, uint32_t flags, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    mr_ev_cancel ev = {
        .h = {.size = sizeof(ev), .kind = (uint16_t)kind, .version = MR_RECORD_VERSION}, .id = id, .flags = flags};
    st = mr_session_send(s, &ev.h, err);
    mr_session_leave(s);
    return st;
}

mr_status mr_cancel(mr_session *s, mr_id id, uint32_t flags, mr_err *err)
{
    return send_cancel(s, MR_EV_CANCEL, id, flags, err);
}

mr_status mr_kill(mr_session *s, mr_id actor, uint32_t flags, mr_err *err)
{
    return send_cancel(s, MR_EV_KILL, actor, flags, err);
}

static mr_status find_actor(mr_session *s, const char *name, const char *ns, mr_id *actor, uint32_t *func, mr_err *err)
{
    size_t ns_len = ns ? strlen(ns) : 0, len = strlen(name);
    mr_scratch b;
    mr_ev_none *r = mr_scratch_record(&b, MR_EV_NAME, sizeof(*r), 0, ns_len + 1 + len + 1, err);
    if (!r)
        return MR_E_NOMEM;
    char *at = (char *)(r + 1);
    if (ns_len)
        memcpy(at, ns, ns_len);
    at[ns_len] = '\0';
    memcpy(at + ns_len + 1, name, len + 1);
    mr_answer a;
    mr_refs_ask(s->refs);
    mr_status st = mr_session_call(s, &r->h, &a, err);
    mr_scratch_free(&b);
    mr_id id = st ? 0 : a.value;
    mr_status kept = st ? MR_OK : mr_refs_add(s->refs, &id, 1);
    mr_refs_asked(s->refs);
    if (st == MR_E_NOTFOUND)
        return mr_err_set(err, st, "there is no actor named \"%s\" in namespace \"%s\"", name, ns ? ns : "");
    if (st)
        return st;
    free(a.text);
    if (kept)
        return mr_err_set(err, kept, "%s", mr_status_text(kept));
    *actor = id;
    *func = (uint32_t)a.value2;
    return MR_OK;
}

mr_status mr_find_actor(mr_session *s, const char *name, const char *ns, mr_id *actor, uint32_t *func, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    st = find_actor(s, name, ns, actor, func, err);
    mr_session_leave(s);
    return st;
}

mr_status mr_note(mr_session *s, mr_id first, uint32_t n, mr_note_kind kind, const char *text)
{
    mr_status st = mr_session_enter(s, NULL);
    if (st)
        return st;
    st = s->port->ops->note(s->port, first, n, kind, text);
    mr_session_leave(s);
    return st;
}

bool mr_explains(const mr_session *s)
{
    return s->port->explains;
}

mr_status mr_state(mr_session *s, const char *what, char **json, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    mr_refs_flush(s->refs, true); /* what this process gave up is not to be shown as held by it */
    st = s->port->ops->state(s->port, what, json, err);
    mr_session_leave(s);
    return st;
}

mr_status mr_output_next(mr_session *s, int64_t timeout, mr_output *out)
{
    mr_status st = mr_session_enter(s, NULL);
    if (st)
        return st;
    st = s->worker ? MR_E_UNSUPPORTED : mr_engine_output(s->port, timeout, out);
    mr_session_leave(s);
    return st;
}

void mr_finish(mr_session *s)
{
    if (mr_session_enter(s, NULL))
        return;
    if (!s->worker)
        mr_engine_finish(s->port);
    mr_session_leave(s);
}

void mr_on_full(mr_session *s, void (*ask)(void))
{
    if (mr_session_enter(s, NULL))
        return;
    if (!s->worker)
        mr_engine_on_full(s->port, ask);
    mr_session_leave(s);
}

void mr_on_error(mr_session *s, mr_error_reader read)
{
    if (mr_session_enter(s, NULL))
        return;
    if (!s->worker)
        mr_engine_on_error(s->port, read);
    mr_session_leave(s);
}

void mr_keep_views(mr_session *s)
{
    if (mr_session_enter(s, NULL))
        return;
    if (!s->worker)
        mr_engine_keep_views(s->port);
    mr_session_leave(s);
}
