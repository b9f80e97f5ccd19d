/* desk.c: where other terminals ask: a socket in the session's folder, answered by the progress thread.
 *
 * Owns the folder (mode 0700, its lock held while the session lives), the socket in it (0600) and the conversations.
 * One line is asked, what mr_state takes; its JSON is the answer, or {"error":...}; then the connection ends.  Only
 * processes of this user are listened to.  Nothing here blocks: a conversation that is slow waits for its peer, and the
 * oldest makes room for a new one.  The folder goes with the session: removed by the driver's close, else by the
 * supervisor when the driver dies, else by the next session of this user (mr_desk_sweep).
 * Lock: none; the progress thread's own.  The node list's is taken while an answer is made, not while it is sent.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/process/node.h"

enum { TALKS = 8, ASK_MAX = 128 };
#define DESK_PREFIX "miniray-session-"
#define DESK_SOCKET "socket"

typedef struct talk {
    int fd; /* -1: free */
    uint64_t since;
    size_t asked; /* bytes of `ask` */
    char ask[ASK_MAX];
    char *answer; /* NULL: still being asked */
    size_t len, sent;
} talk;

struct mr_desk {
    int folder_fd, fd;
    uint64_t count;
    talk talks[TALKS];
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

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

/* Takes the lock of a folder of ours; -1: it is somebody else's, or alive. */
static int desk_claim(int at, const char *name)
{
    struct stat st, still;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) || st.st_uid != geteuid() || flock(fd, LOCK_EX | LOCK_NB) ||
        fstatat(at, name, &still, AT_SYMLINK_NOFOLLOW) || still.st_ino != st.st_ino) {
        close(fd);
        return -1;
    }
    return fd;
}

void mr_desk_remove(const char *folder)
{
    char path[sizeof(((struct mr_desk *)0)->folder) + sizeof(DESK_SOCKET)];
    snprintf(path, sizeof(path), "%s/%s", folder, DESK_SOCKET);
    unlink(path);
    rmdir(folder);
}

void mr_desk_sweep(void)
{
    const char *place;
    for (int i = 0; (place = desk_place(i)); i++) {
        DIR *dir = *place ? opendir(place) : NULL;
        for (const struct dirent *e; dir && (e = readdir(dir));) {
            if (strncmp(e->d_name, DESK_PREFIX, sizeof(DESK_PREFIX) - 1) != 0)
                continue;
            int fd = desk_claim(dirfd(dir), e->d_name);
            if (fd < 0)
                continue;
            unlinkat(fd, DESK_SOCKET, 0);
            unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
            close(fd);
        }
        if (dir)
            closedir(dir);
    }
}

/* 0, or why not. */
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
    if (mkdir(d->folder, 0700))
        return errno;
    int why = EAGAIN; /* swept by another session between here and the lock */
    if ((d->folder_fd = desk_claim(AT_FDCWD, d->folder)) < 0)
        goto fail;
    d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd >= 0 && !bind(d->fd, (const struct sockaddr *)&a, sizeof(a)) && !chmod(a.sun_path, 0600) &&
        !listen(d->fd, TALKS))
        return 0;
    why = errno;
fail:
    if (d->fd >= 0)
        close(d->fd);
    if (d->folder_fd >= 0)
        close(d->folder_fd);
    d->fd = d->folder_fd = -1;
    mr_desk_remove(d->folder);
    d->folder[0] = 0;
    return why;
}

void mr_desk_open(mr_nodes *n)
{
    struct mr_desk *d = calloc(1, sizeof(*d));
    const char *place;
    int why = ENOMEM;
    if (d) {
        d->fd = d->folder_fd = -1;
        for (int i = 0; i < TALKS; i++)
            d->talks[i].fd = -1;
        for (int i = 0; why && (place = desk_place(i)); i++)
            if (*place)
                why = desk_make(n, d, place);
    }
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = MR_DESK_TAG};
    n->desk = d;
    if (why || epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, d->fd, &e)) {
        mr_log(MR_LOG_WARN, "engine", "no folder for this session, so `miniray status` cannot see it: %s",
               strerror(why ? why : errno));
        mr_desk_close(n);
    }
}

static void talk_end(talk *k)
{
    if (k->fd >= 0)
        close(k->fd);
    free(k->answer);
    *k = (talk){.fd = -1};
}

void mr_desk_close(mr_nodes *n)
{
    struct mr_desk *d = n->desk;
    if (!d)
        return;
    n->desk = NULL;
    for (int i = 0; i < TALKS; i++)
        talk_end(&d->talks[i]);
    if (d->fd >= 0)
        close(d->fd);
    if (d->folder[0])
        mr_desk_remove(d->folder);
    if (d->folder_fd >= 0)
        close(d->folder_fd);
    free(d);
}

/* -------------------------------------------------------------------------------------------------- conversations --
 */

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

static char *desk_answer(mr_nodes *n, const char *what)
{
    mr_status status = MR_E_CLOSED;
    mr_err err = {.text = "the session is ending"};
    char *json = NULL;
    pthread_mutex_lock(&n->lock);
    if (!n->closing) {
        mr_drive_pump(n, false);
        json = mr_state_json(n, what, &status, &err);
    }
    mr_drive_unlock(n);
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
