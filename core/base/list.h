/* list.h: an intrusive, doubly linked list.
 *
 *     typedef struct job { int n; mr_link link; } job;
 *     mr_link queue;                       a list is a link that stands for both ends
 *     mr_list_init(&queue);
 *     mr_list_push_back(&queue, &j->link);
 *     job *first = MR_LIST_ENTRY(mr_list_first(&queue), job, link);
 *
 * The list owns nothing.  A link that is in no list points at itself (or is all zero), so removing it again is
 * harmless.
 */
#ifndef MR_BASE_LIST_H
#define MR_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mr_link {
    struct mr_link *next, *prev;
} mr_link;

/* The struct of type `type` whose member `member` is `link`; NULL for NULL. */
#define MR_LIST_ENTRY(link, type, member) ((type *)mr_list_entry((link), offsetof(type, member)))
static inline void *mr_list_entry(mr_link *link, size_t offset)
{
    return link ? (void *)((char *)link - offset) : NULL;
}

static inline void mr_list_init(mr_link *list)
{
    list->next = list->prev = list;
}

static inline bool mr_list_empty(const mr_link *list)
{
    return list->next == list || !list->next;
}

/* True if this link (not a list) is in a list. */
static inline bool mr_list_linked(const mr_link *link)
{
    return link->next && link->next != link;
}

static inline void mr_list_insert_after(mr_link *where, mr_link *link)
{
    link->prev = where;
    link->next = where->next;
    where->next->prev = link;
    where->next = link;
}

static inline void mr_list_push_front(mr_link *list, mr_link *link)
{
    mr_list_insert_after(list, link);
}

static inline void mr_list_push_back(mr_link *list, mr_link *link)
{
    mr_list_insert_after(list->prev, link);
}

static inline void mr_list_remove(mr_link *link)
{
    if (!link->next)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = link;
}

/* First, last, the one after `link`: NULL at the end. */
static inline mr_link *mr_list_first(const mr_link *list)
{
    return mr_list_empty(list) ? NULL : list->next;
}

static inline mr_link *mr_list_last(const mr_link *list)
{
    return mr_list_empty(list) ? NULL : list->prev;
}

static inline mr_link *mr_list_next(const mr_link *list, const mr_link *link)
{
    return link->next == list ? NULL : link->next;
}

static inline mr_link *mr_list_pop_front(mr_link *list)
{
    mr_link *link = mr_list_first(list);
    if (link)
        mr_list_remove(link);
    return link;
}

/* `link` may be removed (and freed) in the body. */
#define MR_LIST_EACH(list, link)                                                                                       \
    for (mr_link *link = (list)->next, *link##_next = link->next; link != (list);                                      \
         link = link##_next, link##_next = link->next)

#endif
