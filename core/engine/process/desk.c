/* desk.c: where other terminals ask: a socket in the session's folder, answered by the progress thread.
 *
 * Owns the folder (mode 0700), the lock in it that says that the session lives, the socket in it (0600) and the
 * conversations. One line is asked, what mr_state takes, or "policy WHAT", what mr_set_policy takes; JSON is the
 * answer, or {"error":...}; then the connection ends.  Only processes of this user are listened to.  Nothing here
 * blocks: a conversation that is slow waits for its peer, and the oldest makes room for a new one.  The folder goes
 * with the session: removed by the driver's close, else by the supervisor when the driver dies, else by the next
 * session of this user (mr_desk_sweep). Lock: none; the progress thread's own.  The node list's is taken while an
 * answer is made, not while it is sent.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/process/drive.h"
#include "engine/process/node.h"

enum { TALKS = 8, BACKLOG = 64, ASK_MAX = 4096 + 64 };
#define DESK_PREFIX "miniray-session-"
#define DESK_SOCKET "socket"
#define DESK_LOCK "lock"

typedef struct talk {
    int fd; /* -1: free */
    uint64_t since;
    size_t asked; /* bytes of `ask` */
    char ask[ASK_MAX];
    char *answer; /* NULL: still being asked */
    size_t len, sent;
} talk;

struct mr_desk {
    int lock, fd; /* -1: none */
    uint64_t count;
    talk talks[TALKS];
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static void talk_end(talk *k)
{
    if (k->fd >= 0)
        close(k->fd);
    free(k->answer);
    *k = (talk){.fd = -1};
}

const char *mr_desk_folder(const mr_nodes *n)
{
    return n->desk ? n->desk->folder : "";
}

/* ------------------------------------------------------------------------------------------------------- folders -- */

/* Place i that folders may be in; NULL: no more.  miniray/_desk.py looks in the same ones. */
static const char *desk_place(int i)
{
    static const char *const names[] = {"XDG_RUNTIME_DIR", "TMPDIR"};
    if (i < 2) {
        const char *place = getenv(names[i]);
        return place && place[0] == '/' ? place : "";
    }
    return i == 2 ? "/tmp" : NULL;
}

/* Takes the lock in the folder `dir`: -1 with errno if another process has it.  A lock of fcntl: a forked child of the
 * driver does not have it, and the driver would lose it by closing any descriptor of that file. */
static int desk_lock(int dir)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = openat(dir, DESK_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && fcntl(fd, F_SETLK, &lock)) {
        int why = errno;
        close(fd);
        errno = why;
        fd = -1;
    }
    return fd;
}

static void desk_empty(int dir)
{
    unlinkat(dir, DESK_SOCKET, 0);
    unlinkat(dir, DESK_LOCK, 0);
}

void mr_desk_remove(const char *folder)
{
    static const char *const names[] = {DESK_SOCKET, DESK_LOCK};
    char path[sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof("/" DESK_SOCKET DESK_LOCK)];
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (int i = 0; dir < 0 && (errno == EMFILE || errno == ENFILE) && i < 2;
         i++) { /* a program that has used up all */
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
        errno = EMFILE;
    }
    if (dir >= 0) {
        desk_empty(dir);
        close(dir);
    }
    rmdir(folder);
}

/* The lock last: while it is held nobody else removes the folder. */
static void desk_free(struct mr_desk *d)
{
    if (d->fd >= 0)
        close(d->fd);
    if (d->folder[0])
        mr_desk_remove(d->folder);
    if (d->lock >= 0)
        close(d->lock);
    d->fd = d->lock = -1;
    d->folder[0] = 0;
}

static void desk_sweep_one(int place, const char *name)
{
    struct stat st;
    int dir = openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return;
    int lock = fstat(dir, &st) || st.st_uid != geteuid() ? -1 : desk_lock(dir);
    if (lock >= 0) {
        desk_empty(dir);
        unlinkat(place, name, AT_REMOVEDIR);
        close(lock);
    }
    close(dir);
}

void mr_desk_sweep(const mr_nodes *n)
{
    const char *place, *own = strrchr(mr_desk_folder(n), '/');
    for (int i = 0; (place = desk_place(i)); i++) {
        DIR *dir = *place ? opendir(place) : NULL;
        for (const struct dirent *e; dir && (e = readdir(dir));)
            if (!strncmp(e->d_name, DESK_PREFIX, sizeof(DESK_PREFIX) - 1) && (!own || strcmp(e->d_name, own + 1) != 0))
                desk_sweep_one(dirfd(dir), e->d_name);
        if (dir)
            closedir(dir);
    }
}

/* 0, or why not. */
static int desk_socket(struct mr_desk *d, const struct sockaddr_un *a)
{
    d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0 || bind(d->fd, (const struct sockaddr *)a, sizeof(*a)) || chmod(a->sun_path, 0600) ||
        listen(d->fd, BACKLOG))
        return errno;
    return 0;
}

static int desk_make(mr_nodes *n, struct mr_desk *d, const char *place)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int len = snprintf(a.sun_path, sizeof(a.sun_path), "%s/" DESK_PREFIX "%016llx/" DESK_SOCKET, place,
                       (unsigned long long)n->port.session);
    if (len < 0 || (size_t)len >= sizeof(a.sun_path))
        return ENAMETOOLONG;
    size_t folder = (size_t)len - sizeof("/" DESK_SOCKET) + 1;
    memcpy(d->folder, a.sun_path, folder);
    d->folder[folder] = 0;
    if (mkdir(d->folder, 0700)) {
        d->folder[0] = 0;
        return errno;
    }
    /* A session that sweeps just now may be faster with the lock, and the folder goes: then the next place is tried. */
    int dir = open(d->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    d->lock = dir < 0 ? -1 : desk_lock(dir);
    int why = d->lock < 0 ? errno : desk_socket(d, &a);
    if (dir >= 0)
        close(dir);
    if (why)
        desk_free(d);
    return why;
}

void mr_desk_open(mr_nodes *n)
{
    struct mr_desk *d = calloc(1, sizeof(*d));
    const char *place;
    int why = ENOMEM;
    if (d) {
        d->fd = d->lock = -1;
        for (int i = 0; i < TALKS; i++)
            d->talks[i].fd = -1;
        for (int i = 0; why && (place = desk_place(i)); i++)
            if (*place)
                why = desk_make(n, d, place);
    }
    n->desk = d;
    if (why) {
        mr_log(MR_LOG_WARN, "engine", "no folder for this session, so `miniray status` cannot see it: %s",
               strerror(why));
        mr_desk_close(n);
    }
}

mr_status mr_desk_watch(mr_nodes *n)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = MR_DESK_TAG};
    return n->desk && epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, n->desk->fd, &e) ? MR_E_IO : MR_OK;
}

void mr_desk_close(mr_nodes *n)
{
    struct mr_desk *d = n->desk;
    if (!d)
        return;
    n->desk = NULL;
    for (int i = 0; i < TALKS; i++)
        talk_end(&d->talks[i]);
    desk_free(d);
    free(d);
}

/* ------------------------------------------------------------------------------------------------- conversations -- */

static void desk_accept(mr_nodes *n, struct mr_desk *d)
{
    struct ucred who = {0};
    socklen_t len = sizeof(who);
    int fd = accept4(d->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    talk *k = &d->talks[0];
    for (int i = 0; i < TALKS; i++)
        if (d->talks[i].fd < 0 || (k->fd >= 0 && d->talks[i].since < k->since))
            k = &d->talks[i];
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) || who.uid != geteuid()) {
        close(fd);
        return;
    }
    talk_end(k);
    k->fd = fd;
    k->since = ++d->count;
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = MR_DESK_TAG + 1 + (uint64_t)(k - d->talks)};
    if (epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, fd, &e))
        talk_end(k);
}

static char *desk_look(mr_nodes *n, const char *what, mr_status *status, mr_err *err)
{
    char *json = NULL;
    pthread_mutex_lock(&n->lock);
    mr_drive_drops(n);
    if (!n->closing) {
        mr_drive_pump(n);
        json = mr_state_json(n, what, status, err);
    }
    mr_drive_unlock(n);
    return json;
}

/* What the new policy was told, and whether it lived through it. */
static char *desk_policy(mr_nodes *n, const char *policy, mr_status *status, mr_err *err)
{
    mr_policy_past told = {0};
    mr_text t = {0};
    *status = mr_nodes_policy(n, policy, &told, err);
    if (*status)
        return NULL;
    pthread_mutex_lock(&n->lock);
    const char *error = mr_control_policy_error(n->control);
    mr_text_put(&t, "{\"policy\":");
    mr_text_string(&t, told.name);
    mr_text_put(&t, ",\"submitted\":%u,\"ready\":%u,\"running\":%u,\"stopped\":%u,\"restored\":%s,\"degraded\":",
                told.submitted, told.ready, told.running, told.stopped, told.restored ? "true" : "false");
    if (error)
        mr_text_string(&t, error);
    else
        mr_text_put(&t, "null");
    mr_text_put(&t, "}");
    pthread_mutex_unlock(&n->lock);
    return t.s;
}

static char *desk_answer(mr_nodes *n, const char *what)
{
    static const char change[] = "policy ";
    mr_status status = MR_E_CLOSED;
    mr_err err = {.text = "the session is ending"};
    bool changes = !strncmp(what, change, sizeof(change) - 1);
    char *json = changes ? desk_policy(n, what + sizeof(change) - 1, &status, &err) : desk_look(n, what, &status, &err);
    if (!status)
        return json;
    mr_text t = {0};
    mr_text_put(&t, "{\"error\":");
    mr_text_string(&t, err.text);
    mr_text_put(&t, "}");
    return t.s;
}

/* False: it is over. */
static bool talk_listen(mr_nodes *n, talk *k)
{
    ssize_t got = recv(k->fd, k->ask + k->asked, sizeof(k->ask) - k->asked, 0);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    k->asked += (size_t)got;
    char *end = memchr(k->ask, '\n', k->asked);
    if (!end)
        return k->asked < sizeof(k->ask);
    *end = 0;
    k->answer = desk_answer(n, k->ask);
    k->len = k->answer ? strlen(k->answer) : 0;
    return k->answer != NULL;
}

static bool talk_say(talk *k)
{
    while (k->sent < k->len) {
        ssize_t sent = send(k->fd, k->answer + k->sent, k->len - k->sent, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        k->sent += (size_t)sent;
    }
    return false;
}

void mr_desk_event(mr_nodes *n, uint64_t tag)
{
    struct mr_desk *d = n->desk;
    if (!d)
        return;
    if (tag == MR_DESK_TAG) {
        desk_accept(n, d);
        return;
    }
    size_t i = tag - MR_DESK_TAG - 1;
    talk *k = i < TALKS ? &d->talks[i] : NULL;
    if (!k || k->fd < 0)
        return;
    bool go_on = k->answer || talk_listen(n, k);
    if (go_on && k->answer)
        go_on = talk_say(k);
    struct epoll_event e = {.events = k->answer ? EPOLLOUT : EPOLLIN, .data.u64 = tag};
    if (!go_on || epoll_ctl(n->epoll_fd, EPOLL_CTL_MOD, k->fd, &e))
        talk_end(k);
}
