/* mover.c: owns the movers, threads for what must not be done under the node's lock: one copies, two read and write
 * the disk, since the copy into the system's cache takes most of the time.
 *
 * Each is started by its first job.  A copy knows only two addresses and a length: whoever adds a job keeps both sides
 * alive (a busy value, an unsealed object) until `done`, which runs with the node's lock held.
 * Lock: the mover's own for its queue; the node's for `done`.
 */
#include <signal.h>
#include <stdlib.h>

#include "engine/process/drive.h"
#include "engine/process/node.h"

static void mover_run(mr_nodes *n, mr_mover *m, mr_job *job)
{
    if (job->populate && job->populate->ops->populate)
        job->status = job->populate->ops->populate(job->populate->self, &job->to);
    if (!job->status && job->run)
        job->status = job->run(n, job);
    else if (!job->status)
        mr_copy(job->to.data, job->from, job->len);
    pthread_mutex_lock(&n->lock);
    pthread_mutex_lock(&m->lock);
    m->now = NULL;
    pthread_mutex_unlock(&m->lock);
    if (job->lost)
        job->status = MR_E_LOST;
    job->done(n, job);
    mr_drive_pump(n);
    mr_drive_unlock(n);
    free(job);
}

static void *mover_main(void *arg)
{
    mr_mover *m = arg;
    pthread_mutex_lock(&m->lock);
    for (;;) {
        mr_job *job = m->jobs;
        if (!job && m->end_asked)
            break;
        if (!job) {
            pthread_cond_wait(&m->cond, &m->lock);
            continue;
        }
        m->jobs = job->next;
        m->now = job;
        if (!m->jobs)
            m->jobs_end = &m->jobs;
        pthread_mutex_unlock(&m->lock);
        mover_run(m->nodes, m, job);
        pthread_mutex_lock(&m->lock);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* Threads of the engine take no signals: they are the user's. */
static mr_status mover_start(mr_mover *m)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&m->thread, NULL, mover_main, m);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed)
        return MR_E_NOMEM;
    m->started = true;
    return MR_OK;
}

/* Errors: NOMEM, CLOSED (the movers were stopped). */
mr_status mr_job_add(mr_nodes *n, mr_job *job)
{
    mr_mover *m = &n->mover[job->run ? MR_MOVER_DISK + job->extent.disk : MR_MOVER_COPY];
    if (!m->started && mover_start(m)) {
        free(job);
        return MR_E_NOMEM;
    }
    pthread_mutex_lock(&m->lock);
    if (m->end_asked) {
        pthread_mutex_unlock(&m->lock);
        free(job);
        return MR_E_CLOSED;
    }
    job->next = NULL;
    *m->jobs_end = job;
    m->jobs_end = &job->next;
    pthread_cond_signal(&m->cond);
    pthread_mutex_unlock(&m->lock);
    return MR_OK;
}

void mr_jobs_lose(mr_nodes *n, mr_id id)
{
    for (int i = 0; i < MR_MOVERS; i++) {
        mr_mover *m = &n->mover[i];
        pthread_mutex_lock(&m->lock);
        for (mr_job *job = m->jobs; job; job = job->next)
            job->lost |= job->id == id;
        if (m->now)
            m->now->lost |= m->now->id == id;
        pthread_mutex_unlock(&m->lock);
    }
}

bool mr_jobs_any(mr_nodes *n)
{
    bool any = false;
    for (int i = 0; i < MR_MOVERS; i++) {
        pthread_mutex_lock(&n->mover[i].lock);
        any |= n->mover[i].jobs || n->mover[i].now;
        pthread_mutex_unlock(&n->mover[i].lock);
    }
    return any;
}

void mr_movers_init(mr_nodes *n)
{
    for (int i = 0; i < MR_MOVERS; i++) {
        mr_mover *m = &n->mover[i];
        m->nodes = n;
        m->jobs_end = &m->jobs;
        pthread_mutex_init(&m->lock, NULL);
        pthread_cond_init(&m->cond, NULL);
    }
}

void mr_movers_stop(mr_nodes *n)
{
    for (int i = 0; i < MR_MOVERS; i++) {
        mr_mover *m = &n->mover[i];
        pthread_mutex_lock(&m->lock);
        m->end_asked = true;
        pthread_cond_signal(&m->cond);
        pthread_mutex_unlock(&m->lock);
        if (m->started)
            pthread_join(m->thread, NULL);
        m->started = false;
    }
}

void mr_movers_fini(mr_nodes *n)
{
    for (int i = 0; i < MR_MOVERS; i++) {
        pthread_mutex_destroy(&n->mover[i].lock);
        pthread_cond_destroy(&n->mover[i].cond);
    }
}
