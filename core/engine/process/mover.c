/* mover.c: owns the mover, one thread that copies what is too large to be copied under the node's lock.
 *
 * It is started by the first such copy.  It knows only two addresses and a length: whoever adds a job keeps both sides
 * alive (a busy value, an unsealed object) until `done`, which runs with the node's lock held.
 * Lock: job_lock for the queue; the node's for `done`.
 */
#include <signal.h>
#include <stdlib.h>

#include "engine/process/node.h"

static void mover_run(mr_nodes *n, mr_job *job)
{
    if (job->populate && job->populate->ops->populate)
        job->status = job->populate->ops->populate(job->populate->self, &job->to);
    if (!job->status)
        mr_copy(job->to.data, job->from, job->len);
    pthread_mutex_lock(&n->lock);
    pthread_mutex_lock(&n->job_lock);
    n->job_now = NULL;
    pthread_mutex_unlock(&n->job_lock);
    if (job->lost)
        job->status = MR_E_LOST;
    job->done(n, job);
    mr_drive_pump(n, true);
    mr_drive_unlock(n);
    free(job);
}

static void *mover_main(void *arg)
{
    mr_nodes *n = arg;
    pthread_mutex_lock(&n->job_lock);
    for (;;) {
        mr_job *job = n->jobs;
        if (!job && n->jobs_end_asked)
            break;
        if (!job) {
            pthread_cond_wait(&n->job_cond, &n->job_lock);
            continue;
        }
        n->jobs = job->next;
        n->job_now = job;
        if (!n->jobs)
            n->jobs_end = &n->jobs;
        pthread_mutex_unlock(&n->job_lock);
        mover_run(n, job);
        pthread_mutex_lock(&n->job_lock);
    }
    pthread_mutex_unlock(&n->job_lock);
    return NULL;
}

/* Threads of the engine take no signals: they are the user's. */
static mr_status mover_start(mr_nodes *n)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&n->mover, NULL, mover_main, n);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed)
        return MR_E_NOMEM;
    n->has_mover = true;
    return MR_OK;
}

mr_status mr_job_add(mr_nodes *n, mr_job *job)
{
    if (!n->has_mover && mover_start(n)) {
        free(job);
        return MR_E_NOMEM;
    }
    pthread_mutex_lock(&n->job_lock);
    job->next = NULL;
    *n->jobs_end = job;
    n->jobs_end = &job->next;
    pthread_cond_signal(&n->job_cond);
    pthread_mutex_unlock(&n->job_lock);
    return MR_OK;
}

void mr_jobs_lose(mr_nodes *n, mr_id id)
{
    pthread_mutex_lock(&n->job_lock);
    for (mr_job *job = n->jobs; job; job = job->next)
        job->lost |= job->id == id;
    if (n->job_now)
        n->job_now->lost |= n->job_now->id == id;
    pthread_mutex_unlock(&n->job_lock);
}

bool mr_jobs_any(mr_nodes *n)
{
    pthread_mutex_lock(&n->job_lock);
    bool any = n->jobs || n->job_now;
    pthread_mutex_unlock(&n->job_lock);
    return any;
}

void mr_mover_stop(mr_nodes *n)
{
    if (!n->has_mover)
        return;
    pthread_mutex_lock(&n->job_lock);
    n->jobs_end_asked = true;
    pthread_cond_signal(&n->job_cond);
    pthread_mutex_unlock(&n->job_lock);
    pthread_join(n->mover, NULL);
    n->has_mover = false;
}
