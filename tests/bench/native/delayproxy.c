/* TCP proxy that adds network delay on loopback (no netem here).  ./delayproxy LISTEN_PORT TARGET_PORT RTT_MS
 * every byte is held RTT/2 in each direction; the first bytes of a connection are held one more RTT (the TCP handshake a
 * loopback connect() does not pay). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
typedef struct seg {
  struct seg *next;
  uint64_t due;
  size_t n, off;
  char d[];
} seg; /* n==0: half-close */
typedef struct pair pair;
typedef struct {
  int fd;
  pair *p;
  int side;
  seg *h, *t;
  int eof, shut;
} end;
struct pair {
  end e[2];
  uint64_t extra_until;
  int first, dead;
  pair *next;
};
static pair *all;
static int ep;
static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}
int main(int c, char **v) {
  int lp = atoi(v[1]), tp = atoi(v[2]), one = 1;
  uint64_t half = (uint64_t)(atof(v[3]) * 500000);
  (void)c;
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* never outlives the benchmark */
  signal(SIGPIPE, SIG_IGN);
  int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, 4);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(lp)},
                     b = {.sin_family = AF_INET, .sin_port = htons(tp)};
  a.sin_addr.s_addr = b.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(ls, (void *)&a, sizeof a) || listen(ls, 512)) {
    perror("bind");
    return 1;
  }
  ep = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, ev[64];
  epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
  static char buf[262144];
  for (;;) {
    uint64_t n = now(), nx = UINT64_MAX;
    for (pair *p = all; p; p = p->next)
      for (int i = 0; i < 2; i++) {
        end *x = &p->e[i];
        while (x->h && x->h->due <= n && !p->dead) {
          seg *s = x->h;
          if (s->n == 0) {
            shutdown(x->fd, SHUT_WR);
            x->shut = 1;
          } else {
            ssize_t k = send(x->fd, s->d + s->off, s->n - s->off, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (k < 0 && errno == EAGAIN) {
              s->due = n + 1000000;
              break;
            }
            if (k < 0) {
              p->dead = 1;
              break;
            }
            s->off += k;
            if (s->off < s->n)
              continue;
          }
          x->h = s->next;
          if (!x->h)
            x->t = NULL;
          free(s);
        }
        if (x->h && x->h->due < nx)
          nx = x->h->due;
      }
    for (pair **q = &all; *q;) {
      pair *p = *q;
      if (p->dead || (p->e[0].shut && p->e[1].shut)) {
        *q = p->next;
        for (int i = 0; i < 2; i++) {
          close(p->e[i].fd);
          while (p->e[i].h) {
            seg *s = p->e[i].h;
            p->e[i].h = s->next;
            free(s);
          }
        }
        free(p);
      } else
        q = &p->next;
    }
    struct timespec ts, *tsp = NULL;
    if (nx != UINT64_MAX) {
      uint64_t d = nx > n ? nx - n : 0;
      ts.tv_sec = d / 1000000000;
      ts.tv_nsec = d % 1000000000;
      tsp = &ts;
    }
    int k = epoll_pwait2(ep, ev, 1, tsp, NULL);
    if (k <= 0)
      continue;
    end *x = ev[0].data.ptr;
    if (!x) {
      int f = accept4(ls, 0, 0, SOCK_NONBLOCK);
      if (f < 0)
        continue;
      int g = socket(AF_INET, SOCK_STREAM, 0);
      if (connect(g, (void *)&b, sizeof b)) {
        close(f);
        close(g);
        continue;
      }
      setsockopt(f, IPPROTO_TCP, TCP_NODELAY, &one, 4);
      setsockopt(g, IPPROTO_TCP, TCP_NODELAY, &one, 4);
      pair *p = calloc(1, sizeof *p);
      p->next = all;
      all = p;
      p->e[0] = (end){.fd = f, .p = p, .side = 0};
      p->e[1] = (end){.fd = g, .p = p, .side = 1};
      p->extra_until = now() + 2 * half;
      for (int i = 0; i < 2; i++) {
        struct epoll_event y = {.events = EPOLLIN, .data.ptr = &p->e[i]};
        epoll_ctl(ep, EPOLL_CTL_ADD, p->e[i].fd, &y);
      }
      continue;
    }
    pair *p = x->p;
    ssize_t r = recv(x->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (r < 0) {
      if (errno != EAGAIN)
        p->dead = 1;
      continue;
    }
    if (r == 0) {
      struct epoll_event y = {0};
      epoll_ctl(ep, EPOLL_CTL_DEL, x->fd, &y);
    }
    end *o = &p->e[!x->side];
    seg *s = malloc(sizeof *s + r);
    s->next = NULL;
    s->n = r;
    s->off = 0;
    memcpy(s->d, buf, r);
    uint64_t t = now();
    if (x->side == 0 && t < p->extra_until)
      t = p->extra_until;
    s->due = t + half;
    if (o->t && o->t->due > s->due)
      s->due = o->t->due;
    if (o->t)
      o->t->next = s;
    else
      o->h = s;
    o->t = s;
  }
}
