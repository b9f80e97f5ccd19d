/* attach.c: how a worker process finds its node: environment, descriptors, shared memory.  See link.h for the format.
 * Owns nothing after it returns.  No lock: called once, by the process's main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "client/ring_port.h"

static mr_status attach_parse(mr_ring_conf *conf, int *fd, mr_err *err)
{
    const char *session = getenv("MINIRAY_ATTACH"), *worker = getenv("MINIRAY_WORKER");
    unsigned version, number, index, node, explains;
    unsigned long long id, size, inline_max;
    int path_at = -1;
    if (!session || !worker)
        return mr_err_set(
            err, MR_E_NOTFOUND,
            "this process was not started as a miniray worker (MINIRAY_ATTACH and MINIRAY_WORKER are not set)");
    int read = sscanf(session, "%u:%llx:%d:%d:%d:%d:%llu:%llu:%u:%n", &version, &id, fd, &conf->event_fd,
                      &conf->share.fd_rw, &conf->share.fd_ro, &size, &inline_max, &explains, &path_at);
    if (read >= 1 && version != MR_LINK_VERSION) /* first: what follows may differ between versions */
        return mr_err_set(err, MR_E_PROTOCOL,
                          "the node speaks version %u, this worker version %d: mixed installations?", version,
                          MR_LINK_VERSION);
    if (read != 9 || path_at < 0)
        return mr_err_set(err, MR_E_PROTOCOL, "MINIRAY_ATTACH=%s: not in the form that this version reads", session);
    if (sscanf(worker, "%u:%u:%u", &number, &index, &node) != 3 || index >= MR_LINKS_MAX)
        return mr_err_set(err, MR_E_PROTOCOL, "MINIRAY_WORKER=%s: expected number:link:node", worker);
    conf->session = id;
    conf->inline_max = inline_max;
    conf->explains = explains;
    conf->share.size = size;
    conf->carrier = session + path_at;
    conf->number = number;
    conf->index = index;
    return MR_OK;
}

/* A page of its own for the node's part and for our link: the other links are nobody's business here.  A child that a
 * task forks does not get them: two producers in one ring would corrupt it. */
static void *attach_map(int fd, size_t len, off_t at)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
    if (p == MAP_FAILED)
        return NULL;
    madvise(p, len, MADV_DONTFORK);
    return p;
}

mr_status mr_attach_port(mr_ring_port **out, mr_err *err)
{
    mr_ring_conf conf = {0};
    int fd = -1;
    mr_status st = attach_parse(&conf, &fd, err);
    if (st)
        return st;
    conf.page = attach_map(fd, sizeof(mr_link_page), 0);
    conf.link = attach_map(fd, sizeof(mr_link), (off_t)(offsetof(mr_links, link) + conf.index * sizeof(mr_link)));
    if (!conf.page || !conf.link) {
        st = mr_err_set(err, MR_E_IO, "cannot map the node's links (descriptor %d): %s", fd, strerror(errno));
        goto fail;
    }
    if (conf.page->magic != MR_LINK_MAGIC || conf.link->magic != MR_LINK_MAGIC || conf.page->session != conf.session ||
        conf.link->worker != conf.number) {
        st = mr_err_set(err, MR_E_PROTOCOL, "descriptor %d does not hold the links of session %llx, worker %u", fd,
                        (unsigned long long)conf.session, conf.number);
        goto fail;
    }
    st = mr_ring_port_open(&conf, out, err);
    if (!st)
        return MR_OK;
fail:
    if (conf.page)
        munmap(conf.page, sizeof(mr_link_page));
    if (conf.link)
        munmap(conf.link, sizeof(mr_link));
    return st;
}
