/* streams.c: results that come one by one: items wait for their reader, a full window makes the producer stand still.
 *
 * The window is hard: a producer starts with leave for as many items as the window has and stands still by itself when
 * they are made; as items are read, RESUME raises that number, once it has been used up.
 *
 * A stream lives as long as its handle (the first result).  It holds the items that were not read; a reader takes over
 * the hold with the item.  Index i is yielded once: a retry's earlier items are refused.
 */
#include <stdlib.h>

#include "control/room.h"

static stream *stream_at(mr_control *c, mr_id id)
{
    return mr_table_at(&c->streams, id);
}

mr_status mr_stream_new(mr_control *c, mr_id id)
{
    stream *s = mr_table_put(&c->streams, id);
    if (!s)
        return MR_E_NOMEM;
    s->id = id;
    return MR_OK;
}

static void stream_free(mr_control *c, stream *s)
{
    mr_control_unalloc(c, s->items, s->room * sizeof *s->items);
    mr_control_unalloc(c, s->readers, s->room_readers * sizeof *s->readers);
    mr_table_del(&c->streams, s->id);
}

static bool room_for_item(mr_control *c, stream *s)
{
    if (s->n < s->room)
        return true;
    uint32_t room = s->room ? s->room * 2 : 8;
    mr_id *v = mr_control_alloc(c, room * sizeof *v);
    if (!v)
        return false;
    for (uint32_t i = 0; i < s->n; i++)
        v[i] = s->items[(s->head + i) % s->room];
    mr_control_unalloc(c, s->items, s->room * sizeof *s->items);
    s->items = v;
    s->room = room;
    s->head = 0;
    return true;
}

static void answer(mr_control *c, uint32_t client, uint32_t token, mr_status status, mr_id item)
{
    mr_record to = {.from = client, .token = token};
    c->fault = (mr_fault){.status = status};
    mr_control_reply(c, &to, status, (int64_t)item);
}

/* The hold of the stream becomes the reader's. */
static void give(mr_control *c, stream *s, uint32_t client, uint32_t token)
{
    mr_id id = s->items[s->head];
    object *o = object_at(c, id);
    s->head = (s->head + 1) % s->room;
    s->n--;
    s->given++;
    if (o) {
        if (mr_holder_room(c, client, 1) == MR_OK)
            mr_holder_add(c, client, o);
        o->flags |= O_READ;
        mr_object_unhold(c, o);
    }
    answer(c, client, token, MR_OK, id);
}

/* The running attempt, if it has to do with a window and has used up the leave that it has. */
static void balance(mr_control *c, stream *s)
{
    const task *t = task_live(c, s->id);
    int32_t window = t ? c->funcs[t->func - 1]->def->window : -1;
    if (window <= 0 || !t->worker || t->attempt != s->attempt || s->made < s->allowed)
        return;
    uint64_t allowed = s->abandoned ? INT64_MAX : s->given + (uint64_t)window;
    if (allowed <= s->allowed)
        return;
    s->allowed = allowed;
    mr_action *x = mr_control_act(c, MR_ACT_RESUME);
    x->id = s->id;
    x->worker = t->worker;
    x->attempt = t->attempt;
    x->value = (int64_t)allowed;
}

/* Attempt of `t` made item `index`.  A new attempt has the leave of its window alone, whatever was read before. */
static void made(mr_control *c, stream *s, const task *t, uint32_t index)
{
    if (s->attempt != t->attempt || !s->allowed) {
        s->attempt = t->attempt;
        s->allowed = (uint64_t)c->funcs[t->func - 1]->def->window;
    }
    s->made = (uint64_t)index + 1;
    balance(c, s);
}

mr_status mr_stream_yielded(mr_control *c, const mr_record *r)
{
    const mr_ev_sealed *e = (const void *)r;
    task *t = task_live(c, e->task);
    stream *s = stream_at(c, e->task);
    if (!t || !s || t->attempt != e->attempt || (r->from && t->worker != r->from)) {
        c->stale++;
        return mr_control_refuse(c, MR_E_INVAL, "task %llx: an item of attempt %u, which is over",
                                 (unsigned long long)e->task, e->attempt);
    }
    if (e->index < s->next_index || (t->flags & T_CANCEL)) {
        made(c, s, t, e->index);
        return MR_E_EXISTS; /* an earlier attempt yielded it, or it was cut: the engine drops these bytes */
    }
    if (e->index > s->next_index || object_at(c, e->id) || task_at(c, e->id))
        return mr_control_refuse(c, MR_E_INVAL, "task %llx: item %u of id %llx is out of order or exists",
                                 (unsigned long long)e->task, e->index, (unsigned long long)e->id);
    if (!room_for_item(c, s))
        return MR_E_NOMEM;
    object *o = mr_object_new(c, e->id, 0, MR_NOBODYS);
    if (!o)
        return MR_E_NOMEM;
    o->holders = s->abandoned ? 0 : 1;
    o->why = MR_LOST_STREAM;
    sealing as = {e->id, e->size, e->node, e->format, e->flags};
    mr_status status = mr_object_seal(c, o, &as, mr_record_ids(r, sizeof *e), r->n_ids);
    if (status) {
        mr_table_del(&c->objects, e->id);
        return status;
    }
    s->next_index++;
    if (s->abandoned) {
        made(c, s, t, e->index);
        return MR_OK;
    }
    s->items[(s->head + s->n++) % s->room] = e->id;
    if (s->n_readers) {
        struct reader k = s->readers[0];
        s->n_readers--;
        for (uint32_t i = 0; i < s->n_readers; i++)
            s->readers[i] = s->readers[i + 1];
        give(c, s, k.client, k.token);
    } else {
        object *handle = object_at(c, s->id);
        if (handle && handle->waits)
            mr_wait_settle(c, handle);
    }
    made(c, s, t, e->index);
    return MR_OK;
}

mr_status mr_stream_read(mr_control *c, const mr_record *r)
{
    const mr_ev_id *e = (const void *)r;
    stream *s = stream_at(c, e->id);
    if (!s)
        return mr_control_refuse(c, MR_E_NOTFOUND, "read: there is no stream %llx", (unsigned long long)e->id);
    if (s->n) {
        give(c, s, r->from, r->token);
        balance(c, s);
        return MR_OK;
    }
    if (s->ended)
        return mr_control_refuse(c, MR_E_END, "stream %llx is at its end", (unsigned long long)e->id);
    if (!mr_control_grow(c, &s->readers, &s->room_readers, s->n_readers + 1, sizeof *s->readers))
        return MR_E_NOMEM;
    s->readers[s->n_readers++] = (struct reader){r->from, r->token};
    return MR_OK;
}

void mr_stream_end(mr_control *c, mr_id id)
{
    stream *s = stream_at(c, id);
    if (!s)
        return;
    s->ended = true;
    for (uint32_t i = 0; i < s->n_readers; i++)
        answer(c, s->readers[i].client, s->readers[i].token, MR_E_END, 0);
    s->n_readers = 0;
    if (s->abandoned)
        stream_free(c, s);
}

/* The handle is gone: unread items go, the producer runs on to its end. */
void mr_stream_abandon(mr_control *c, mr_id id)
{
    stream *s = stream_at(c, id);
    if (!s || s->abandoned)
        return;
    s->abandoned = true;
    for (; s->n; s->n--, s->head = (s->head + 1) % s->room) {
        object *o = object_at(c, s->items[s->head]);
        if (o) {
            o->flags |= O_READ;
            mr_object_unhold(c, o);
        }
    }
    balance(c, s);
    if (s->ended)
        stream_free(c, s);
}

void mr_stream_client_gone(mr_control *c, uint32_t client)
{
    uint64_t at = 0, id;
    for (stream *s; (s = mr_table_next(&c->streams, &at, &id));)
        for (uint32_t i = 0; i < s->n_readers;) {
            if (s->readers[i].client == client)
                s->readers[i] = s->readers[--s->n_readers];
            else
                i++;
        }
}

void mr_streams_free(mr_control *c)
{
    uint64_t at = 0, id;
    for (stream *s; (s = mr_table_next(&c->streams, &at, &id));) {
        free(s->items);
        free(s->readers);
    }
}
