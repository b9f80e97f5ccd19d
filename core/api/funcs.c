/* funcs.c: owns what this process remembers of remote functions: enough for a submit.  Pages are filled under
 * funcs_lock and read without it: `known` is stored last.
 */
#include <stdlib.h>
#include <string.h>

#include "api/session.h"

static pthread_mutex_t funcs_lock = PTHREAD_MUTEX_INITIALIZER;

static mr_status note(mr_session *s, uint32_t number, const mr_define *def, const mr_func_note **out)
{
    mr_status st = MR_E_NOMEM;
    if (number / MR_FUNC_PAGE >= MR_FUNC_PAGES)
        return st;
    pthread_mutex_lock(&funcs_lock);
    mr_func_note *page = atomic_load_explicit(&s->funcs[number / MR_FUNC_PAGE], memory_order_acquire);
    if (!page) {
        page = calloc(MR_FUNC_PAGE, sizeof(*page));
        atomic_store_explicit(&s->funcs[number / MR_FUNC_PAGE], page, memory_order_release);
    }
    mr_func_note *f = page ? &page[number % MR_FUNC_PAGE] : NULL;
    if (f && !atomic_load_explicit(&f->known, memory_order_relaxed)) {
        f->kind = def->kind;
        f->handle = def->kind == MR_FUNC_ACTOR || (def->flags & MR_FUNC_STREAMING);
        f->n_returns = def->kind == MR_FUNC_ACTOR ? 1 : (uint32_t)def->n_returns;
        f->max_pending = def->max_pending;
        atomic_store_explicit(&f->known, true, memory_order_release);
    }
    if (f) {
        *out = f;
        st = MR_OK;
    }
    pthread_mutex_unlock(&funcs_lock);
    return st;
}

/* A worker that never heard of it asks. */
static mr_status find_def(mr_session *s, uint32_t number, const mr_define **out, mr_err *err)
{
    const mr_define *def = s->port->ops->func(s->port, number);
    if (!def && s->worker) {
        mr_ask ask = {.h = {.size = sizeof(ask), .kind = MR_ASK_CODE, .version = MR_RECORD_VERSION}, .id = number};
        mr_answer a;
        mr_status st = mr_session_call(s, &ask.h, &a, err);
        if (st)
            return st;
        free(a.text);
        def = s->port->ops->func(s->port, number);
    }
    if (!def)
        return mr_err_set(err, MR_E_NOTFOUND, "there is no remote function %u", number);
    *out = def;
    return MR_OK;
}

mr_status mr_session_func(mr_session *s, uint32_t number, const mr_func_note **out, mr_err *err)
{
    const mr_func_note *page = number / MR_FUNC_PAGE < MR_FUNC_PAGES
                                   ? atomic_load_explicit(&s->funcs[number / MR_FUNC_PAGE], memory_order_acquire)
                                   : NULL;
    if (page && atomic_load_explicit(&page[number % MR_FUNC_PAGE].known, memory_order_acquire)) {
        *out = &page[number % MR_FUNC_PAGE];
        return MR_OK;
    }
    const mr_define *def;
    mr_status st = find_def(s, number, &def, err);
    if (!st && (st = note(s, number, def, out)))
        mr_err_set(err, st, "%s", mr_status_text(st));
    return st;
}

/* ------------------------------------------------------------------------------------------------------ defining -- */

static const mr_need task_needs[] = {{"CPU", MR_RES_UNIT}};

static mr_status check_text(const mr_func_def *d, const char *what, const char *text, size_t room, mr_err *err)
{
    if (!text || !text[0] || strlen(text) >= room)
        return mr_err_set(err, MR_E_INVAL, "%s: %s \"%.80s\" must have 1 to %zu bytes", d->name, what, text ? text : "",
                          room - 1);
    return MR_OK;
}

static mr_status check_needs(const mr_func_def *d, const mr_need *v, int32_t n, mr_err *err)
{
    for (int32_t i = 0; i < n; i++) {
        mr_status st = check_text(d, "the resource", v[i].name, sizeof(((mr_named *)0)->name), err);
        if (st)
            return st;
        if (v[i].amount < 0)
            return mr_err_set(err, MR_E_INVAL, "%s: %s = %lld is negative", d->name, v[i].name, (long long)v[i].amount);
    }
    return MR_OK;
}

static mr_status check_def(const mr_func_def *d, mr_err *err)
{
    if (!d->name || !d->name[0])
        return mr_err_set(err, MR_E_INVAL, "a remote function needs a name");
    if ((d->flags & MR_DEF_STREAMING) && (d->window == 0 || d->window < -1))
        return mr_err_set(err, MR_E_INVAL, "%s: window = %d: a stream may have from 1 unread items, or any number (-1)",
                          d->name, d->window);
    if (d->kind > MR_DEF_METHOD || d->lang < MR_DEF_C || d->lang > MR_DEF_PYTHON)
        return mr_err_set(err, MR_E_INVAL, "%s: kind %d, language %d: no such", d->name, (int)d->kind, d->lang);
    if (d->lang == MR_DEF_C && ((d->flags & MR_DEF_ASYNC) || (d->kind == MR_DEF_ACTOR && d->max_concurrency > 1)))
        return mr_err_set(err, MR_E_UNSUPPORTED,
                          "%s: an actor in C runs one call at a time (max_concurrency=1, not async)", d->name);
    if (d->n_lanes < 0 || d->n_lanes > MR_LANES_MAX || d->lane < 0 || d->lane > MR_LANES_MAX)
        return mr_err_set(err, MR_E_INVAL, "%s: an actor has at most %d concurrency groups", d->name, MR_LANES_MAX);
    if (d->n_returns < 0 || d->max_concurrency < 1 || d->max_retries < -1 || d->max_restarts < -1)
        return mr_err_set(err, MR_E_INVAL, "%s: n_returns=%d, max_concurrency=%d, max_retries=%d, max_restarts=%d",
                          d->name, d->n_returns, d->max_concurrency, d->max_retries, d->max_restarts);
    mr_status st = check_text(d, "the entry", d->entry, sizeof(((mr_define *)0)->entry), err);
    if (!st && d->user)
        st = check_text(d, "the user", d->user, sizeof(((mr_define *)0)->user), err);
    if (!st)
        st = check_needs(d, d->needs, d->n_needs, err);
    if (!st && d->living)
        st = check_needs(d, d->living, d->n_living, err);
    for (int32_t i = 0; !st && i < d->n_labels; i++) {
        st = check_text(d, "the label", d->labels[i].key, sizeof(((mr_label *)0)->key), err);
        if (!st)
            st = check_text(d, "the label's value", d->labels[i].value, sizeof(((mr_label *)0)->value), err);
    }
    for (int32_t i = 0; !st && i < d->n_conditions; i++) {
        const mr_condition *t = &d->conditions[i];
        if (t->op < MR_LABEL_IN || t->op > MR_LABEL_ABSENT)
            st = mr_err_set(err, MR_E_INVAL, "%s: condition %d on label %s is unknown", d->name, t->op, t->key);
        if (!st)
            st = check_text(d, "the label", t->key, sizeof(((mr_term *)0)->key), err);
        if (!st && t->op <= MR_LABEL_NOT_IN)
            st = check_text(d, "the label's value", t->value, sizeof(((mr_term *)0)->value), err);
    }
    return st;
}

static mr_named *put_needs(mr_named *to, const mr_need *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++, to++) {
        memset(to, 0, sizeof(*to));
        memcpy(to->name, v[i].name, strlen(v[i].name));
        to->amount = v[i].amount;
    }
    return to;
}

static void fill_def(mr_define *r, const mr_func_def *d)
{
    r->code = d->code;
    r->kind = (uint8_t)d->kind;
    r->lang = (uint8_t)d->lang;
    r->strategy = (uint8_t)d->schedule;
    r->lane = (uint8_t)d->lane;
    r->n_lanes = (uint16_t)d->n_lanes;
    for (int32_t i = 0; i < d->n_lanes; i++)
        r->lanes[i] = d->lanes[i];
    r->flags = d->flags | (d->kind == MR_DEF_ACTOR && d->n_needs >= 0 ? MR_FUNC_EXPLICIT_CPU : 0);
    r->env = d->env;
    r->n_returns = d->n_returns;
    r->max_retries = d->max_retries;
    r->max_restarts = d->max_restarts;
    r->max_concurrency = d->max_concurrency;
    r->max_pending = d->max_pending;
    r->max_calls = d->max_calls;
    r->priority = d->priority;
    r->window = d->window;
    r->estimate = d->estimate;
    r->limit = d->limit;
    r->deadline = d->deadline;
    r->node = d->node;
    r->group = d->group;
    r->bundle = d->bundle;
    r->max_running = d->max_running;
    size_t len = strlen(d->name);
    memcpy(r->name, d->name, len < sizeof(r->name) ? len : sizeof(r->name) - 1);
    memcpy(r->entry, d->entry, strlen(d->entry));
    if (d->user)
        memcpy(r->user, d->user, strlen(d->user));
}

static mr_status send_def(mr_session *s, const mr_func_def *d, uint32_t *out, mr_err *err)
{
    bool usual = d->n_needs < 0 && d->kind != MR_DEF_METHOD;
    const mr_need *needs = usual ? task_needs : d->needs, *living = NULL;
    uint32_t n_needs = usual ? 1 : d->n_needs < 0 ? 0 : (uint32_t)d->n_needs, n_living = 0;
    if (d->kind == MR_DEF_ACTOR && !usual) {
        living = d->living ? d->living : needs;
        n_living = d->living ? (uint32_t)d->n_living : n_needs;
    }
    uint64_t n_bytes = sizeof(mr_named) * (uint64_t)(n_needs + n_living) + sizeof(mr_label) * (uint64_t)d->n_labels +
                       sizeof(mr_term) * (uint64_t)d->n_conditions;
    mr_scratch b;
    mr_define *r = mr_scratch_record(&b, MR_EV_DEFINE, sizeof(*r), 0, n_bytes, err);
    if (!r)
        return MR_E_NOMEM;
    fill_def(r, d);
    r->n_needs = n_needs;
    r->n_living = n_living;
    r->n_labels = (uint32_t)d->n_labels;
    mr_named *at = put_needs(put_needs((mr_named *)(r + 1), needs, n_needs), living, n_living);
    mr_label *label = (mr_label *)(void *)at;
    for (int32_t i = 0; i < d->n_labels; i++, label++) {
        memset(label, 0, sizeof(*label));
        memcpy(label->key, d->labels[i].key, strlen(d->labels[i].key));
        memcpy(label->value, d->labels[i].value, strlen(d->labels[i].value));
    }
    r->n_terms = (uint32_t)d->n_conditions;
    mr_term *term = (mr_term *)(void *)label;
    for (int32_t i = 0; i < d->n_conditions; i++, term++) {
        const mr_condition *t = &d->conditions[i];
        memset(term, 0, sizeof(*term));
        memcpy(term->key, t->key, strlen(t->key));
        if (t->op <= MR_LABEL_NOT_IN)
            memcpy(term->value, t->value, strlen(t->value));
        term->op = (uint32_t)t->op;
        term->soft = t->soft;
    }
    mr_answer a;
    mr_status st = mr_session_call(s, &r->h, &a, err);
    const mr_func_note *f;
    if (!st)
        free(a.text);
    if (!st && (st = note(s, (uint32_t)a.value, r, &f)))
        mr_err_set(err, st, "%s: %s", d->name, mr_status_text(st));
    mr_scratch_free(&b);
    if (!st)
        *out = (uint32_t)a.value;
    return st;
}

mr_status mr_define_func(mr_session *s, const mr_func_def *def, uint32_t *out, mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    if (!def || def->size != sizeof(*def))
        st = mr_err_set(err, MR_E_ABI, "mr_func_def of another version: start from MR_FUNC_DEF_INIT");
    if (!st)
        st = check_def(def, err);
    if (!st)
        st = send_def(s, def, out, err);
    mr_session_leave(s);
    return st;
}

mr_status mr_func_code(mr_session *s, uint32_t func, mr_id *code, int32_t *max_retries, int32_t *max_pending,
                       mr_err *err)
{
    mr_status st = mr_session_enter(s, err);
    if (st)
        return st;
    const mr_define *def;
    st = find_def(s, func, &def, err);
    if (!st && def->code) {
        st = mr_refs_add(s->refs, &def->code, 1);
        if (st)
            mr_err_set(err, st, "%s", mr_status_text(st));
    }
    if (!st) {
        *code = def->code;
        *max_retries = def->max_retries;
        *max_pending = def->max_pending;
    }
    mr_session_leave(s);
    return st;
}
