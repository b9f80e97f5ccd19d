/* store_cases_optional.c: what a store must keep of the optional ops that it has: populate, lease and split, trim, and
 * sharing with other processes.  A case whose op is absent is skipped and says so.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/conformance/case.h"

enum { KB = 1 << 10, MB = 1 << 20 };

/* -- populate --------------------------------------------------------------------------------------------------- */

static void populate_keeps_neighbours(mr_case *c)
{
    mr_region r;
    NEEDS(c, populate);
    for (mr_id id = 1; id <= 12; id++) {
        mr_case_put(c, id, 1000, id);
        DONE(c, c->ops->create(c->self, id + 100, id * 300 * KB + id, &r));
        DONE(c, c->ops->populate(c->self, &r));
        mr_case_fill(r.data, r.len, id + 100);
        DONE(c, c->ops->populate(c->self, &r)); /* again, over written bytes */
        DONE(c, c->ops->seal(c->self, id + 100));
    }
    for (mr_id id = 1; id <= 12; id++) {
        mr_case_expect(c, id, 1000, id);
        mr_case_expect(c, id + 100, id * 300 * KB + id, id + 100);
    }
}

static void populate_any_size(mr_case *c)
{
    static const uint64_t sizes[] = {0, 1, 63, 64, 4095, 4096, 4097, 512 * KB, 2 * MB - 1, 2 * MB, 2 * MB + 1, 9 * MB};
    mr_region r;
    NEEDS(c, populate);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        DONE(c, c->ops->create(c->self, i + 1, sizes[i], &r));
        DONE(c, c->ops->populate(c->self, &r));
        mr_case_fill(r.data, r.len, i);
        DONE(c, c->ops->seal(c->self, i + 1));
        mr_case_expect(c, i + 1, sizes[i], i);
    }
}

typedef struct populating {
    mr_case *c;
    mr_region r;
    mr_status status;
} populating;

static void *populate_thread(void *arg)
{
    populating *p = arg;
    for (int i = 0; i < 20 && !p->status; i++)
        p->status = p->c->ops->populate(p->c->self, &p->r);
    mr_case_fill(p->r.data, p->r.len, p->r.len);
    return NULL;
}

static void populate_beside_other_ops(mr_case *c)
{
    populating p[2] = {{.c = c}, {.c = c}};
    pthread_t threads[2];
    NEEDS(c, populate);
    for (mr_id i = 0; i < 2; i++)
        DONE(c, c->ops->create(c->self, i + 1, 3 * MB + i * KB, &p[i].r));
    for (int i = 0; i < 2; i++)
        CHECK(c, pthread_create(&threads[i], NULL, populate_thread, &p[i]) == 0);
    for (mr_id id = 10; id < 2000; id++) {
        mr_case_put(c, id, 100 + id % 900, id);
        mr_case_expect(c, id, 100 + id % 900, id);
        if (id % 3)
            DONE(c, c->ops->remove(c->self, id));
    }
    for (mr_id i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        DONE(c, p[i].status);
        DONE(c, c->ops->seal(c->self, i + 1));
        mr_case_expect(c, i + 1, p[i].r.len, p[i].r.len);
    }
}

/* -- lease and split -------------------------------------------------------------------------------------------- */

static void split_pieces(mr_case *c)
{
    mr_region lease, r;
    uint64_t used, next = 0;
    NEEDS(c, split);
    DONE(c, c->ops->create(c->self, 1, MB, &lease));
    used = mr_case_used(c, MB);
    for (mr_id id = 2; id < 100; id++) {
        DONE(c, c->ops->split(c->self, 1, id, id * 50, &r));
        SAME(c, r.len, id * 50);
        SAME(c, (char *)r.data - (char *)lease.data, next);
        next += (id * 50 + MR_STORE_ALIGN - 1) / MR_STORE_ALIGN * MR_STORE_ALIGN;
        mr_case_fill(r.data, r.len, id);
        DONE(c, c->ops->seal(c->self, id));
        SAME(c, mr_case_used(c, used), used);
    }
    DONE(c, c->ops->abort(c->self, 1));
    for (mr_id id = 2; id < 100; id++) {
        mr_case_expect(c, id, id * 50, id);
        DONE(c, c->ops->remove(c->self, id));
    }
    SAME(c, mr_case_used(c, 0), 0);
}

static void split_errors(mr_case *c)
{
    mr_region r = {0}, kept;
    NEEDS(c, split);
    GIVES(c, c->ops->split(c->self, 1, 2, 10, &r), MR_E_NOTFOUND);
    DONE(c, c->ops->create(c->self, 1, 1024, &r));
    mr_case_put(c, 9, 10, 9);
    kept = r = (mr_region){&kept, 1, 2};
    GIVES(c, c->ops->split(c->self, 9, 2, 10, &r), MR_E_NOTFOUND); /* sealed: no lease */
    GIVES(c, c->ops->split(c->self, 1, 9, 10, &r), MR_E_EXISTS);
    GIVES(c, c->ops->split(c->self, 1, 1, 10, &r), MR_E_EXISTS);
    GIVES(c, c->ops->split(c->self, 1, MR_NO_ID, 10, &r), MR_E_INVAL);
    GIVES(c, c->ops->split(c->self, 1, 2, 1025, &r), MR_E_TOOBIG);
    GIVES(c, c->ops->split(c->self, 1, 2, UINT64_MAX, &r), MR_E_TOOBIG);
    GIVES(c, c->ops->split(c->self, 1, 2, UINT64_MAX - 62, &r), MR_E_TOOBIG);
    CHECK(c, r.data == kept.data && r.len == kept.len && r.at == kept.at);
    DONE(c, c->ops->split(c->self, 1, 2, 1000, &r));
    GIVES(c, c->ops->split(c->self, 1, 3, 1, &r), MR_E_TOOBIG);
    GIVES(c, c->ops->split(c->self, 1, 3, 0, &r), MR_E_TOOBIG);
    mr_case_expect(c, 9, 10, 9);
}

static void split_to_nothing(mr_case *c)
{
    uint64_t before = mr_case_largest(c, 0);
    mr_region r;
    NEEDS(c, split);
    for (int order = 0; order < 3; order++) {
        mr_case_put(c, 50, 64, 50);
        DONE(c, c->ops->create(c->self, 1, 4 * MR_STORE_ALIGN, &r));
        mr_case_put(c, 51, 64, 51);
        for (mr_id id = 2; id < 6; id++) {
            DONE(c, c->ops->split(c->self, 1, id, id % 2 ? 0 : 1, &r));
            DONE(c, c->ops->seal(c->self, id));
        }
        if (order == 0)
            DONE(c, c->ops->abort(c->self, 1));
        for (mr_id id = 2; id < 6; id++)
            DONE(c, c->ops->remove(c->self, id));
        if (order == 1)
            DONE(c, c->ops->abort(c->self, 1));
        mr_case_expect(c, 50, 64, 50);
        mr_case_expect(c, 51, 64, 51);
        DONE(c, c->ops->remove(c->self, 50));
        DONE(c, c->ops->remove(c->self, 51));
        if (order == 2)
            DONE(c, c->ops->abort(c->self, 1));
        SAME(c, mr_case_used(c, 0), 0);
        SAME(c, mr_case_largest(c, before), before);
    }
}

static void lease_can_be_sealed(mr_case *c)
{
    mr_region r;
    NEEDS(c, split);
    DONE(c, c->ops->create(c->self, 1, 1000, &r));
    mr_case_fill((char *)r.data + 128, 872, 1);
    DONE(c, c->ops->split(c->self, 1, 2, 100, &r));
    DONE(c, c->ops->seal(c->self, 1)); /* what is left is an ordinary object */
    mr_case_expect(c, 1, 872, 1);
    DONE(c, c->ops->remove(c->self, 1));
    DONE(c, c->ops->abort(c->self, 2));
    SAME(c, mr_case_used(c, 0), 0);
}

/* Random leases, pieces, objects and removals; all must come back. */
static void lease_random(mr_case *c)
{
    enum { LEASES = 8, IDS = 256, STEPS = 30000 };
    uint64_t state = 99, before = mr_case_largest(c, 0), len[IDS] = {0};
    bool leased[LEASES] = {false}, live[IDS] = {false};
    mr_region r;
    NEEDS(c, split);
    for (int step = 0; step < STEPS; step++) {
        uint64_t l = mr_case_random(&state) % LEASES, i = mr_case_random(&state) % IDS;
        mr_id lease = 1000 + l, id = 1 + i;
        mr_status status;
        if (!leased[l]) {
            status = c->ops->create(c->self, lease, 8 * KB + mr_case_random(&state) % (16 * KB), &r);
            CHECK(c, status == MR_OK || status == MR_E_FULL);
            leased[l] = !status;
        } else if (mr_case_random(&state) % 32 == 0) {
            DONE(c, c->ops->abort(c->self, lease));
            leased[l] = false;
        } else if (live[i]) {
            mr_case_expect(c, id, len[i], id);
            DONE(c, c->ops->remove(c->self, id));
            live[i] = false;
        } else {
            len[i] = mr_case_random(&state) % 1500;
            status = c->ops->split(c->self, lease, id, len[i], &r);
            CHECK(c, status == MR_OK || status == MR_E_TOOBIG);
            if (!status) {
                mr_case_fill(r.data, r.len, id);
                DONE(c, c->ops->seal(c->self, id));
                live[i] = true;
            }
        }
    }
    for (uint64_t i = 0; i < IDS; i++)
        if (live[i])
            DONE(c, c->ops->remove(c->self, 1 + i));
    for (uint64_t l = 0; l < LEASES; l++)
        if (leased[l])
            DONE(c, c->ops->abort(c->self, 1000 + l));
    SAME(c, mr_case_used(c, 0), 0);
    SAME(c, mr_case_largest(c, before), before);
}

/* -- trim ------------------------------------------------------------------------------------------------------- */

static uint64_t trim_all(mr_case *c)
{
    uint64_t given, sum = 0;
    for (int i = 0; i < 1000 && (given = c->ops->trim(c->self)); i++)
        sum += given;
    SAME(c, c->ops->trim(c->self), 0);
    return sum;
}

static void trim_keeps_objects(mr_case *c)
{
    mr_region r;
    NEEDS(c, trim);
    for (mr_id id = 1; id <= 20; id++)
        mr_case_put(c, id, MB + id, id);
    DONE(c, c->ops->create(c->self, 100, 3 * MB, &r));
    mr_case_fill(r.data, r.len, 100);
    for (mr_id id = 1; id <= 20; id++)
        if (id % 4)
            DONE(c, c->ops->remove(c->self, id));
    trim_all(c);
    DONE(c, c->ops->seal(c->self, 100));
    mr_case_expect(c, 100, 3 * MB, 100);
    for (mr_id id = 4; id <= 20; id += 4)
        mr_case_expect(c, id, MB + id, id);
    for (mr_id id = 101; id <= 110; id++)
        mr_case_put(c, id, MB, id);
    for (mr_id id = 101; id <= 110; id++)
        mr_case_expect(c, id, MB, id);
}

static void trim_gives_back(mr_case *c)
{
    mr_store_stats s;
    NEEDS(c, trim);
    NEEDS(c, stats);
    SAME(c, c->ops->trim(c->self), 0);
    mr_case_put(c, 1, 16 * MB, 1);
    DONE(c, c->ops->remove(c->self, 1));
    CHECK(c, trim_all(c) >= 12 * MB);
    c->ops->stats(c->self, &s);
    CHECK(c, s.resident <= 4 * MB);
}

/* -- other processes -------------------------------------------------------------------------------------------- */

static void share_descriptors(mr_case *c)
{
    mr_share one, two;
    struct stat st;
    NEEDS(c, share);
    DONE(c, c->ops->share(c->self, &one));
    DONE(c, c->ops->share(c->self, &two));
    CHECK(c, one.fd_rw == two.fd_rw && one.fd_ro == two.fd_ro && one.size == two.size);
    CHECK(c, one.size >= c->capacity);
    CHECK(c, (fcntl(one.fd_rw, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(c, (fcntl(one.fd_ro, F_GETFL) & O_ACCMODE) == O_RDONLY);
    CHECK(c, fcntl(one.fd_rw, F_GETFD) & FD_CLOEXEC);
    CHECK(c, fcntl(one.fd_ro, F_GETFD) & FD_CLOEXEC);
    CHECK(c, fstat(one.fd_rw, &st) == 0 && st.st_nlink == 0);
}

/* A process that could shrink the file would make every other one die of SIGBUS. */
static void share_can_not_be_resized(mr_case *c)
{
    mr_share share;
    NEEDS(c, share);
    DONE(c, c->ops->share(c->self, &share));
    CHECK(c, ftruncate(share.fd_rw, 0) != 0);
    CHECK(c, ftruncate(share.fd_rw, (off_t)share.size * 2) != 0);
    CHECK(c, ftruncate(share.fd_ro, 0) != 0);
}

static void get_is_read_only(mr_case *c)
{
    mr_region w, r;
    NEEDS(c, share);
    DONE(c, c->ops->create(c->self, 1, 10000, &w));
    CHECK(c, !mr_case_faults(c, w.data));
    mr_case_fill(w.data, w.len, 1);
    DONE(c, c->ops->seal(c->self, 1));
    DONE(c, c->ops->get(c->self, 1, &r));
    SAME(c, r.at, w.at);
    CHECK(c, mr_case_faults(c, r.data));
    CHECK(c, mprotect((void *)((uintptr_t)r.data & ~UINT64_C(4095)), 4096, PROT_READ | PROT_WRITE) != 0);
    CHECK(c, mr_case_filled(r.data, 10000, 1));
}

static void peer_reads(mr_case *c, void *peer, void *arg)
{
    const mr_region *r = arg;
    for (mr_id id = 1; id <= 20; id++) {
        const void *at = c->ops->view(peer, r[id].at, r[id].len, false);
        CHECK(c, at != NULL);
        CHECK(c, mr_case_filled(at, r[id].len, id));
    }
}

static void attach_reads(mr_case *c)
{
    mr_region r[21];
    NEEDS(c, attach);
    for (mr_id id = 1; id <= 20; id++) {
        mr_case_put(c, id, id * id * 500, id);
        DONE(c, c->ops->get(c->self, id, &r[id]));
    }
    mr_case_in_peer(c, peer_reads, r, 0);
}

static void peer_writes(mr_case *c, void *peer, void *arg)
{
    const mr_region *r = arg;
    void *at = c->ops->view(peer, r->at, r->len, true);
    CHECK(c, at != NULL);
    if (c->ops->populate)
        DONE(c, c->ops->populate(peer, r));
    mr_case_fill(at, r->len, 5);
}

static void attach_writes(mr_case *c)
{
    mr_region r;
    NEEDS(c, attach);
    mr_case_put(c, 1, 100, 1);
    DONE(c, c->ops->create(c->self, 2, 3 * MB + 5, &r));
    mr_case_put(c, 3, 100, 3);
    mr_case_in_peer(c, peer_writes, &r, 0);
    DONE(c, c->ops->seal(c->self, 2));
    mr_case_expect(c, 2, 3 * MB + 5, 5);
    mr_case_expect(c, 1, 100, 1);
    mr_case_expect(c, 3, 100, 3);
}

static void peer_can_not_write(mr_case *c, void *peer, void *arg)
{
    const mr_region *r = arg;
    char *at = c->ops->view(peer, r->at, r->len, false);
    CHECK(c, mr_case_faults(c, at));
    CHECK(c, mr_case_faults(c, at + r->len - 1));
    CHECK(c, mprotect((void *)((uintptr_t)at & ~UINT64_C(4095)), 4096, PROT_READ | PROT_WRITE) != 0);
    CHECK(c, mr_case_filled(at, r->len, 1));
}

static void view_is_read_only(mr_case *c)
{
    mr_region r;
    NEEDS(c, attach);
    mr_case_put(c, 1, 20000, 1);
    DONE(c, c->ops->get(c->self, 1, &r));
    mr_case_in_peer(c, peer_can_not_write, &r, 0);
}

static void peer_bounds(mr_case *c, void *peer, void *arg)
{
    uint64_t size = ((mr_share *)arg)->size;
    for (int w = 0; w < 2; w++) {
        CHECK(c, c->ops->view(peer, 0, size, w) != NULL);
        CHECK(c, c->ops->view(peer, size - 1, 1, w) != NULL);
        CHECK(c, c->ops->view(peer, size, 1, w) == NULL);
        CHECK(c, c->ops->view(peer, 0, size + 1, w) == NULL);
        CHECK(c, c->ops->view(peer, 1, size, w) == NULL);
        CHECK(c, c->ops->view(peer, 64, UINT64_MAX, w) == NULL);
        CHECK(c, c->ops->view(peer, 64, UINT64_MAX - 63, w) == NULL);
        CHECK(c, c->ops->view(peer, MR_NOWHERE, 0, w) == NULL);
        CHECK(c, c->ops->view(peer, MR_NOWHERE, 1, w) == NULL);
    }
}

static void view_bounds(mr_case *c)
{
    mr_share share;
    NEEDS(c, attach);
    DONE(c, c->ops->share(c->self, &share));
    mr_case_in_peer(c, peer_bounds, &share, 0);
}

static void populate_bounds(mr_case *c)
{
    mr_share share;
    mr_region r = {0};
    NEEDS(c, attach);
    NEEDS(c, populate);
    DONE(c, c->ops->share(c->self, &share));
    r = (mr_region){NULL, 64, share.size};
    GIVES(c, c->ops->populate(c->self, &r), MR_E_INVAL);
    r = (mr_region){NULL, UINT64_MAX, 64};
    GIVES(c, c->ops->populate(c->self, &r), MR_E_INVAL);
    r = (mr_region){NULL, 1, MR_NOWHERE};
    GIVES(c, c->ops->populate(c->self, &r), MR_E_INVAL);
}

static void attach_errors(mr_case *c)
{
    mr_share good, bad;
    void *self = c;
    NEEDS(c, attach);
    DONE(c, c->ops->share(c->self, &good));
    for (int i = 0; i < 4; i++) {
        mr_err err = {0};
        bad = good;
        if (i == 0)
            bad.fd_rw = bad.fd_ro = -1;
        else if (i == 1)
            bad.size = good.size * 2;
        else if (i == 2)
            bad.fd_ro = good.fd_rw; /* views would be writable */
        else
            bad.fd_rw = good.fd_ro;
        CHECK(c, c->ops->attach(&self, c->host, &bad, &err) != MR_OK);
        CHECK(c, self == c && err.status != MR_OK && err.text[0]);
    }
}

static void peer_dies(mr_case *c, void *peer, void *arg)
{
    peer_writes(c, peer, arg);
    raise(SIGKILL);
}

static void peer_killed(mr_case *c)
{
    mr_region r;
    NEEDS(c, attach);
    mr_case_put(c, 1, 5000, 1);
    for (int i = 0; i < 5; i++) {
        DONE(c, c->ops->create(c->self, 2, 100000, &r));
        mr_case_in_peer(c, peer_dies, &r, SIGKILL);
        DONE(c, c->ops->abort(c->self, 2));
        mr_case_expect(c, 1, 5000, 1);
    }
    DONE(c, c->ops->remove(c->self, 1));
    SAME(c, mr_case_used(c, 0), 0);
}

typedef struct outliving {
    mr_region r;
    int attached[2], closed[2];
} outliving;

static void view_outlives_close(mr_case *c)
{
    outliving o;
    mr_share share;
    int status;
    char byte = 0;
    pid_t pid;
    NEEDS(c, attach);
    CHECK(c, pipe(o.attached) == 0 && pipe(o.closed) == 0);
    mr_case_put(c, 1, 50000, 1);
    DONE(c, c->ops->get(c->self, 1, &o.r));
    DONE(c, c->ops->share(c->self, &share));
    pid = fork();
    CHECK(c, pid >= 0);
    if (pid == 0) {
        void *peer;
        mr_err err;
        const void *at;
        DONE(c, c->ops->attach(&peer, c->host, &share, &err));
        at = c->ops->view(peer, o.r.at, o.r.len, false);
        CHECK(c, write(o.attached[1], &byte, 1) == 1 && read(o.closed[0], &byte, 1) == 1);
        CHECK(c, mr_case_filled(at, o.r.len, 1));
        c->ops->detach(peer);
        _exit(0);
    }
    CHECK(c, read(o.attached[0], &byte, 1) == 1);
    c->ops->close(c->self);
    c->self = NULL;
    CHECK(c, write(o.closed[1], &byte, 1) == 1);
    CHECK(c, waitpid(pid, &status, 0) == pid);
    CHECK(c, WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A worker fills its lease from the front; the node makes objects of it afterwards. */
static void peer_fills_lease(mr_case *c, void *peer, void *arg)
{
    const mr_region *lease = arg;
    char *at = c->ops->view(peer, lease->at, lease->len, true);
    for (mr_id id = 2; id < 40; id++) {
        mr_case_fill(at, id * 40, id);
        at += (id * 40 + MR_STORE_ALIGN - 1) / MR_STORE_ALIGN * MR_STORE_ALIGN;
    }
}

static void lease_in_a_peer(mr_case *c)
{
    mr_region lease, r;
    NEEDS(c, attach);
    NEEDS(c, split);
    DONE(c, c->ops->create(c->self, 1, MB, &lease));
    mr_case_in_peer(c, peer_fills_lease, &lease, 0);
    for (mr_id id = 2; id < 40; id++) {
        DONE(c, c->ops->split(c->self, 1, id, id * 40, &r));
        DONE(c, c->ops->seal(c->self, id));
    }
    DONE(c, c->ops->abort(c->self, 1));
    for (mr_id id = 2; id < 40; id++)
        mr_case_expect(c, id, id * 40, id);
}

const mr_case_def mr_store_option_cases[] = {
    {"populate-keeps-neighbours", 64 * MB, populate_keeps_neighbours},
    {"populate-any-size", 32 * MB, populate_any_size},
    {"populate-beside-other-ops", 16 * MB, populate_beside_other_ops},
    {"populate-bounds", 4 * MB, populate_bounds},
    {"split-pieces", 2 * MB, split_pieces},
    {"split-errors", MB, split_errors},
    {"split-to-nothing", MB, split_to_nothing},
    {"lease-can-be-sealed", MB, lease_can_be_sealed},
    {"lease-random", 128 * KB, lease_random},
    {"trim-keeps-objects", 32 * MB, trim_keeps_objects},
    {"trim-gives-back", 32 * MB, trim_gives_back},
    {"share-descriptors", MB, share_descriptors},
    {"share-can-not-be-resized", MB, share_can_not_be_resized},
    {"get-is-read-only", MB, get_is_read_only},
    {"attach-reads", 8 * MB, attach_reads},
    {"attach-writes", 8 * MB, attach_writes},
    {"attach-errors", MB, attach_errors},
    {"view-is-read-only", MB, view_is_read_only},
    {"view-bounds", MB, view_bounds},
    {"view-outlives-close", MB, view_outlives_close},
    {"peer-killed", MB, peer_killed},
    {"lease-in-a-peer", 2 * MB, lease_in_a_peer},
};
const size_t mr_store_n_option_cases = sizeof(mr_store_option_cases) / sizeof(mr_store_option_cases[0]);
