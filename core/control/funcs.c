/* funcs.c: definitions of remote functions, resource names, and the shapes they share; what is learned of their runs.
 *
 * A shape is everything that decides where a task may run: needs, kind of process, constraints, and whether a task
 * submitted it.  It is made at the definition, so that a submission never makes one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/room.h"

/* ---------------------------------------------------------------------------------------------------- resources -- */

mr_status mr_res_number(mr_control *c, const char *name, uint32_t *out)
{
    uint32_t n;
    if (mr_intern_find(c->res, name, strlen(name), &n)) {
        if (mr_intern_count(c->res) > MR_RES_MAX)
            return mr_control_refuse(c, MR_E_INVAL, "resource \"%s\": a session knows at most %d kinds of resources",
                                     name, MR_RES_MAX);
        if (mr_intern_put(c->res, name, strlen(name), &n))
            return MR_E_NOMEM;
    }
    *out = n - 1;
    return MR_OK;
}

const char *mr_res_name(const mr_control *c, uint32_t res)
{
    const char *name = mr_intern_text(c->res, res + 1);
    return name ? name : "?";
}

void mr_amount_text(const mr_control *c, uint32_t res, int64_t amount, char *text, size_t n)
{
    if (res == MR_RES_MEMORY)
        snprintf(text, n, "memory %.1f GiB", (double)amount / (1024.0 * 1024 * 1024));
    else
        snprintf(text, n, "%s %g", mr_res_name(c, res), (double)amount / MR_RES_UNIT);
}

/* Adds what `v` asks to the dense table; of two wishes for one resource the larger counts. */
static mr_status collect(mr_control *c, const mr_named *v, uint32_t n, int64_t *dense, const char *who)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t res;
        if (!v[i].name[0] || v[i].amount < 0)
            return mr_control_refuse(c, MR_E_INVAL, "%s: resource \"%s\": an amount must be 0 or more", who, v[i].name);
        mr_status status = mr_res_number(c, v[i].name, &res);
        if (status)
            return status;
        if (v[i].amount > dense[res])
            dense[res] = v[i].amount;
    }
    return MR_OK;
}

static mr_amount *pack(const int64_t *dense, uint32_t *n)
{
    uint32_t k = 0;
    mr_amount *v = calloc(MR_RES_MAX, sizeof *v);
    if (!v)
        return NULL;
    for (uint32_t i = 0; i < MR_RES_MAX; i++)
        if (dense[i] > 0)
            v[k++] = (mr_amount){i, dense[i]};
    *n = k;
    return v;
}

/* ------------------------------------------------------------------------------------------------------- shapes -- */

static bool same_shape(const shape *a, const shape *b)
{
    return a->n_needs == b->n_needs && a->group == b->group && a->bundle == b->bundle && a->captures == b->captures &&
           a->lang == b->lang && a->gpu == b->gpu && a->strategy == b->strategy && a->nested == b->nested &&
           a->actor == b->actor && a->of == b->of && a->env == b->env && a->soft == b->soft && a->node == b->node &&
           a->caps[0] == b->caps[0] && a->caps[1] == b->caps[1] && a->n_terms == b->n_terms &&
           (!a->n_terms || !memcmp(a->terms, b->terms, a->n_terms * sizeof *a->terms)) &&
           !memcmp(a->needs, b->needs, a->n_needs * sizeof *a->needs);
}

/* Takes want->needs if it makes a new shape. */
static shape *shape_intern(mr_control *c, shape *want)
{
    for (uint32_t i = 0; i < c->n_shapes; i++)
        if (same_shape(c->shapes[i], want))
            return c->shapes[i];
    if (!mr_control_grow(c, &c->shapes, &c->room_shapes, c->n_shapes + 1, sizeof(shape *)))
        return NULL;
    shape *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = *want;
    s->needs = calloc(want->n_needs + 1, sizeof *s->needs);
    s->terms = want->n_terms ? calloc(want->n_terms, sizeof *s->terms) : NULL;
    if (!s->needs || (want->n_terms && !s->terms)) {
        free(s->needs);
        free(s->terms);
        free(s);
        return NULL;
    }
    memcpy(s->needs, want->needs, want->n_needs * sizeof *s->needs);
    if (want->n_terms)
        memcpy(s->terms, want->terms, want->n_terms * sizeof *s->terms);
    s->number = c->n_shapes;
    s->shared.s = s;
    for (uint32_t i = 0; i < s->n_needs; i++)
        if (s->needs[i].res == MR_RES_CPU)
            s->cpu = s->needs[i].amount;
    s->plain = !s->gpu && !s->group && !s->capped && !s->actor;
    c->shapes[c->n_shapes++] = s;
    c->small |= s->cpu < MR_RES_UNIT;
    c->heap += sizeof *s + (s->n_needs + 1) * sizeof *s->needs;
    return s;
}

shape *mr_shape_captured(mr_control *c, const shape *base, group *g)
{
    shape want = {.lang = base->lang, .gpu = base->gpu, .nested = base->nested, .actor = base->actor, .env = base->env};
    want.needs = base->needs;
    want.n_needs = base->n_needs;
    want.bundle = -1;
    want.group = g;
    want.bound = want.captures = true;
    want.capped = base->capped;
    memcpy(want.caps, base->caps, sizeof want.caps);
    return shape_intern(c, &want);
}

shape *mr_shape_stopped(mr_control *c, const shape *base, const pool *p)
{
    mr_amount cpu = {MR_RES_CPU, base->cpu};
    shape want = {.lang = base->lang, .nested = base->nested, .env = base->env, .captures = base->captures};
    want.of = base;
    want.needs = &cpu;
    want.n_needs = 1;
    want.strategy = MR_STRATEGY_NODE;
    want.node = p->node;
    want.bound = true;
    want.group = p->group;
    want.bundle = -1;
    for (uint32_t i = 0; p->group && i < p->group->n; i++)
        if (&p->group->b[i].p == p)
            want.bundle = (int32_t)i;
    want.caps[1] = base->caps[1]; /* it counts as running all the while; of its user's CPUs it has none */
    want.capped = want.caps[1] != NULL;
    return shape_intern(c, &want);
}

/* --------------------------------------------------------------------------------------------------- definitions -- */

static mr_status read_needs(mr_control *c, const mr_define *d, int64_t *needs, int64_t *living)
{
    const mr_named *v = mr_record_bytes(d, sizeof *d);
    mr_status status = collect(c, v, d->n_needs, needs, d->name);
    if (!status)
        status = collect(c, v + d->n_needs, d->n_living, living, d->name);
    if (status || d->kind != MR_FUNC_ACTOR)
        return status;
    /* An actor is placed with what it keeps, and with one CPU unless CPUs were stated. */
    for (uint32_t i = 0; i < MR_RES_MAX; i++)
        if (living[i] > needs[i])
            needs[i] = living[i];
    if (!needs[MR_RES_CPU] && !(d->flags & MR_FUNC_EXPLICIT_CPU))
        needs[MR_RES_CPU] = MR_RES_UNIT;
    return MR_OK;
}

static mr_status func_shapes(mr_control *c, func *f, const int64_t *needs)
{
    const mr_define *d = f->def;
    shape want = {.lang = d->lang, .strategy = d->strategy, .env = d->env, .soft = !!(d->flags & MR_FUNC_SOFT_NODE)};
    want.gpu = needs[MR_RES_GPU] > 0;
    want.actor = d->kind == MR_FUNC_ACTOR;
    if (mr_caps_of(c, d, f->name, f->user, &want))
        return MR_E_NOMEM;
    want.group = d->group ? group_at(c, d->group) : NULL;
    want.bundle = want.group ? d->bundle : -1;
    want.captures = want.group && (d->flags & MR_FUNC_CAPTURE);
    want.capped = want.caps[0] || want.caps[1];
    const char *bytes = mr_record_bytes(d, sizeof *d);
    want.n_terms = d->n_terms;
    want.terms = (mr_term *)(uintptr_t)(bytes + (size_t)(d->n_needs + d->n_living) * sizeof(mr_named) +
                                        d->n_labels * sizeof(mr_label));
    for (uint32_t i = 0; i < d->n_terms; i++)
        want.prefers |= want.terms[i].soft != 0;
    want.bound = want.group || d->strategy == MR_STRATEGY_NODE || d->n_terms;
    if (d->strategy == MR_STRATEGY_NODE)
        want.node = mr_ref_is_node(d->node) ? (uint32_t)(d->node & 0xFFFFFFFF) - 1 : (uint32_t)d->node;
    want.needs = pack(needs, &want.n_needs);
    if (!want.needs)
        return MR_E_NOMEM;
    for (int i = 0; i < 2; i++) {
        want.nested = (uint8_t)i;
        f->shape[i] = shape_intern(c, &want);
    }
    free(want.needs);
    return f->shape[0] && f->shape[1] ? MR_OK : MR_E_NOMEM;
}

static void func_free(func *f)
{
    if (!f)
        return;
    free(f->by_class);
    free(f->def);
    free(f->living);
    free(f);
}

static mr_status func_make(mr_control *c, const mr_define *d, func **out)
{
    int64_t needs[MR_RES_MAX] = {0}, living[MR_RES_MAX] = {0};
    mr_status status = MR_E_NOMEM;
    func *f = calloc(1, sizeof *f);
    if (!f || !(f->def = malloc(d->h.size)))
        goto fail;
    memcpy(f->def, d, d->h.size);
    status = read_needs(c, d, needs, living);
    if (status)
        goto fail;
    status = MR_E_NOMEM;
    if (!(f->living = pack(living, &f->n_living)))
        goto fail;
    if (mr_intern_put(c->names, d->name, strlen(d->name), &f->name) ||
        mr_intern_put(c->names, d->user, strlen(d->user), &f->user) || func_shapes(c, f, needs))
        goto fail;
    *out = f;
    return MR_OK;
fail:
    func_free(f);
    return status;
}

static void make_like(const mr_control *c, func *f)
{
    const mr_define *d = f->def;
    const shape *s = f->shape[0];
    bool stated = c->conf.know != MR_KNOW_NOTHING && d->estimate >= 0;
    f->learns = c->conf.know == MR_KNOW_LEARNED && d->estimate < 0;
    f->plain = d->kind == MR_FUNC_TASK && d->limit < 0 && d->deadline < 0 && !(d->flags & MR_FUNC_STREAMING);
    f->like = (task){.v = {.fn = f->name,
                           .user = f->user,
                           .priority = d->priority,
                           .attempt = 1,
                           .kind = d->kind == MR_FUNC_ACTOR ? MR_ACTOR : MR_TASK,
                           .ready_at = MR_UNKNOWN,
                           .started_at = MR_UNKNOWN,
                           .deadline = MR_UNKNOWN,
                           .limit = d->limit,
                           .estimate = stated ? d->estimate : MR_UNKNOWN,
                           .needs = s->needs,
                           .n_needs = s->n_needs},
                     .attempt = 1,
                     .func = f->number,
                     .shape = s->number,
                     .flags = d->flags & MR_FUNC_STREAMING ? T_STREAM : 0};
}

static mr_status define_check(mr_control *c, const mr_define *d)
{
    if (d->kind > MR_FUNC_METHOD || d->lang > MR_LANG_PYTHON || d->strategy > MR_STRATEGY_NODE)
        return mr_control_refuse(c, MR_E_INVAL, "definition of %s: kind %u, language %u or strategy %u is unknown",
                                 d->name, d->kind, d->lang, d->strategy);
    const group *g = d->group ? group_at(c, d->group) : NULL;
    if (d->group && !g)
        return mr_control_refuse(c, MR_E_NOTFOUND, "definition of %s: there is no placement group %llx", d->name,
                                 (unsigned long long)d->group);
    if (g && g->state != MR_GROUP_REMOVED && (d->bundle < -1 || d->bundle >= (int32_t)g->n))
        return mr_control_refuse(c, MR_E_INVAL,
                                 "placement group bundle index %d is invalid. Valid placement group indexes: 0-%u",
                                 d->bundle, g->n);
    bool lanes = d->n_lanes <= MR_LANES_MAX && d->lane <= MR_LANES_MAX;
    for (uint32_t i = 0; lanes && i < d->n_lanes; i++)
        lanes = d->lanes[i] > 0;
    if (!lanes)
        return mr_control_refuse(c, MR_E_INVAL, "definition of %s: at most %d concurrency groups, of at least one call",
                                 d->name, MR_LANES_MAX);
    if (d->max_retries < -1 || d->max_restarts < -1 || d->n_returns < 0)
        return mr_control_refuse(c, MR_E_INVAL, "definition of %s: max_retries, max_restarts or n_returns is negative",
                                 d->name);
    return MR_OK;
}

/* A function has a number for ever; its code goes with the last of those that can call it, who hold it as they hold
 * other objects, and the last of its tasks. */
void mr_func_use(mr_control *c, func *f)
{
    object *code = f->users++ ? NULL : object_at(c, f->def->code);
    if (code)
        code->holders++;
    f->code_held = f->code_held || code;
}

void mr_func_unuse(mr_control *c, func *f)
{
    object *code = --f->users || !f->code_held ? NULL : object_at(c, f->def->code);
    f->code_held = f->code_held && f->users;
    if (code)
        mr_object_unhold(c, code);
}

mr_status mr_func_define(mr_control *c, const mr_record *r)
{
    const mr_define *d = (const void *)r;
    const char *body = (const char *)d + sizeof d->h;
    size_t len = d->h.size - sizeof d->h;
    uint32_t number;
    if (mr_intern_find(c->defs, body, len, &number) == MR_OK) { /* it has been said before, maybe by another process */
        mr_control_reply(c, r, MR_OK, number);
        return MR_OK;
    }
    mr_status status = define_check(c, d);
    if (status)
        return status;
    if (!mr_control_grow(c, &c->funcs, &c->room_funcs, c->n_funcs + 1, sizeof(func *)))
        return MR_E_NOMEM;
    func *f;
    status = func_make(c, d, &f);
    if (status)
        return status;
    if (mr_intern_put(c->defs, body, len, &f->number)) { /* a new one: the next number */
        func_free(f);
        return MR_E_NOMEM;
    }
    make_like(c, f);
    c->funcs[c->n_funcs++] = f;
    c->heap += sizeof *f + 2 * d->h.size + MR_RES_MAX * sizeof(mr_amount);
    object *code = d->code ? object_at(c, d->code) : NULL;
    if (code && !(code->flags & O_CODE)) {
        code->flags |= O_CODE;
        code->func = f->number;
    }
    if (code && d->kind == MR_FUNC_METHOD) /* whoever calls one has a handle, not this */
        mr_func_use(c, f);
    mr_control_reply(c, r, MR_OK, f->number);
    return MR_OK;
}

void mr_funcs_free(mr_control *c)
{
    for (uint32_t i = 0; i < c->n_funcs; i++)
        func_free(c->funcs[i]);
    for (uint32_t i = 0; i < c->n_shapes; i++) {
        free(c->shapes[i]->needs);
        free(c->shapes[i]->terms);
        free(c->shapes[i]);
    }
    free(c->funcs);
    free(c->shapes);
}

const mr_define *mr_control_func(const mr_control *c, uint32_t number)
{
    return number >= 1 && number <= c->n_funcs ? c->funcs[number - 1]->def : NULL;
}

mr_status mr_control_class_cost(mr_control *c, uint32_t number, uint32_t cls, int64_t ns)
{
    func *f = func_at(c, number);
    if (!f || cls > 255 || ns < 0)
        return MR_E_INVAL;
    if (cls >= f->n_classes) {
        int64_t *more = realloc(f->by_class, (cls + 1) * sizeof *more);
        if (!more)
            return MR_E_NOMEM;
        for (uint32_t i = f->n_classes; i <= cls; i++)
            more[i] = MR_UNKNOWN;
        f->by_class = more;
        f->n_classes = cls + 1;
    }
    f->by_class[cls] = ns;
    return MR_OK;
}
