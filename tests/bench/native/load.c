/* Low-overhead closed-loop HTTP/1.1 load generator for chat completions (plain and SSE). One thread, epoll.
 *   ./load -p PORT [-h 127.0.0.1] [-P /path] [-H "Name: value"]... [-m model] [-s] [-c K] [-n total] [-t seconds]
 *          [-w warmup-requests (not recorded)] [-r ramp ms over which the K connections start] [-k (no keep-alive)]
 *          [-G (GET)] [-B extra JSON put in the body, e.g. '"max_tokens":100'] [-b prompt bytes] [-T timeout s] [-a (Anthropic /v1/messages body)]
 * Prints one JSON object. Latencies in microseconds, raw (no coordinated-omission correction).
 * SSE: looks in the decoded body for T<19 digits>; (upstream's monotonic ns when it wrote the chunk) and R<19 digits>;
 *   (when the upstream had the request): delay = receive time - T; fwd = R - send time; ttft = first T seen - send time. */
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
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  uint64_t *v;
  size_t n, cap;
} vec;
static void push(vec *a, uint64_t x) {
  if (a->n == a->cap) {
    a->cap = a->cap ? a->cap * 2 : 65536;
    a->v = realloc(a->v, a->cap * 8);
  }
  a->v[a->n++] = x;
}
static int cmp(const void *a, const void *b) {
  uint64_t x = *(uint64_t *)a, y = *(uint64_t *)b;
  return x < y ? -1 : x > y;
}
static void stats(const char *name, vec *a) {
  if (!a->n)
    return;
  qsort(a->v, a->n, 8, cmp);
  double s = 0;
  for (size_t i = 0; i < a->n; i++)
    s += a->v[i];
#define Q(p) (a->v[(size_t)((a->n - 1) * (p))] / 1000.0)
  printf(",\"%s\":{\"n\":%zu,\"min\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"mean\":%."
         "1f}",
         name, a->n, a->v[0] / 1000.0, Q(.5), Q(.9), Q(.99), Q(.999), a->v[a->n - 1] / 1000.0, s / a->n / 1000.0);
}
typedef struct {
  int fd, st; /* st 0 idle/not started 1 connecting/sending 2 headers 3 body */
  uint64_t t_send, t_start;
  int status, chunked, close, rec, got_first;
  long clen; /* -1: until close */
  char hdr[16384];
  size_t hl;
  int cst;
  long crem;
  char cline[32];
  int cl; /* chunked decoder */
  int mk;
  char mkt;
  uint64_t mv;
  size_t woff;
  long events;
} conn;
static conn *C;
static int ep, K = 1, stream, keep = 1, get;
static char *req;
static size_t reql;
static struct sockaddr_in addr;
static uint64_t t_end, t_begin, timeout_ns = 60000000000ull;
static long total = -1, warm, started, finished, okc, errs, conn_errs, short_bodies;
static int codes[600];
static vec lat, ttft, dly, fwd;
static int running;
static uint64_t bytes;
static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}
static void next(conn *c);
static void stop(conn *c) {
  if (c->fd >= 0)
    close(c->fd);
  c->fd = -1;
  c->st = 0;
  running--;
}
static void dosend(conn *c) {
  while (c->woff < reql) {
    ssize_t n = send(c->fd, req + c->woff, reql - c->woff, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EAGAIN) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
        return;
      }
      conn_errs++;
      close(c->fd);
      c->fd = -1;
      next(c);
      return;
    }
    c->woff += n;
  }
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
  if (c->st == 1)
    c->st = 2;
}
static void next(conn *c) {
  uint64_t n = now_ns();
  if ((total >= 0 && started >= total + warm) || (t_end && n >= t_end) || conn_errs > 2000) {
    stop(c);
    return;
  }
  c->rec = started >= warm;
  if (started == warm) {
    t_begin = n;
  }
  started++;
  c->hl = 0;
  c->got_first = 0;
  c->mk = 0;
  c->cst = 0;
  c->crem = 0;
  c->cl = 0;
  c->woff = 0;
  c->events = 0;
  c->status = 0;
  c->t_send = n;
  c->st = 1;
  if (c->fd < 0) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
    if (connect(c->fd, (void *)&addr, sizeof addr) < 0 && errno != EINPROGRESS) {
      conn_errs++;
      close(c->fd);
      c->fd = -1;
      stop(c);
    }
    return;
  }
  dosend(c);
}
static void done(conn *c, int good) {
  uint64_t n = now_ns();
  if (c->rec) {
    finished++;
    if (c->status > 0 && c->status < 600)
      codes[c->status]++;
    if (good && c->status == 200) {
      okc++;
      push(&lat, n - c->t_send);
    } else
      errs++;
  }
  if (c->close || !keep || !good) {
    close(c->fd);
    c->fd = -1;
  }
  next(c);
}
static inline void scan(conn *c, const char *p, size_t n, uint64_t t) {
  for (size_t i = 0; i < n; i++) {
    char ch = p[i];
    if (c->mk == 0) {
      if (ch == 'T' || ch == 'R') {
        c->mk = 1;
        c->mkt = ch;
        c->mv = 0;
      }
    } else if (c->mk <= 19 && ch >= '0' && ch <= '9') {
      c->mv = c->mv * 10 + (ch - '0');
      c->mk++;
    } else if (c->mk == 20 && ch == ';') {
      c->mk = 0;
      if (c->rec) {
        if (c->mkt == 'T') {
          c->events++;
          push(&dly, t - c->mv);
          if (!c->got_first) {
            c->got_first = 1;
            push(&ttft, t - c->t_send);
          }
        } else
          push(&fwd, c->mv - c->t_send);
      }
    } else if (ch == 'T' || ch == 'R') {
      c->mk = 1;
      c->mkt = ch;
      c->mv = 0;
    } else
      c->mk = 0;
  }
}
static int body(conn *c, const char *p, size_t n, uint64_t t) { /* 1 when complete */
  if (!c->chunked) {
    if (stream)
      scan(c, p, n, t);
    if (c->clen >= 0) {
      c->clen -= n;
      return c->clen <= 0;
    }
    return 0;
  }
  while (n) {
    if (c->cst == 0) {
      char ch = *p++;
      n--;
      if (ch == '\n') {
        c->cline[c->cl] = 0;
        c->crem = strtol(c->cline, NULL, 16);
        c->cl = 0;
        c->cst = c->crem ? 1 : 3;
      } else if (c->cl < 30)
        c->cline[c->cl++] = ch;
    } else if (c->cst == 1) {
      size_t k = n < (size_t)c->crem ? n : (size_t)c->crem;
      if (stream)
        scan(c, p, k, t);
      p += k;
      n -= k;
      c->crem -= k;
      if (!c->crem)
        c->cst = 2;
    } else if (c->cst == 2) {
      if (*p == '\n')
        c->cst = 0;
      p++;
      n--;
    } else {
      if (*p == '\n') {
        if (!c->cl)
          return 1;
        c->cl = 0;
      } else if (*p != '\r')
        c->cl++;
      p++;
      n--;
    }
  }
  return 0;
}
static void onread(conn *c) {
  static char b[262144];
  ssize_t r = recv(c->fd, b, sizeof b, 0);
  uint64_t t = now_ns();
  if (r < 0) {
    if (errno == EAGAIN)
      return;
    conn_errs++;
    done(c, 0);
    return;
  }
  if (r == 0) {
    if (c->st == 3 && c->clen < 0 && !c->chunked) {
      c->close = 1;
      done(c, 1);
    } else {
      if (c->st == 2 && c->hl == 0 && c->status == 0)
        conn_errs++;
      short_bodies++;
      done(c, 0);
    }
    return;
  }
  bytes += r;
  const char *p = b;
  size_t n = r;
  if (c->st == 2) {
    size_t k = n < sizeof c->hdr - 1 - c->hl ? n : sizeof c->hdr - 1 - c->hl;
    size_t old = c->hl;
    memcpy(c->hdr + c->hl, p, k);
    c->hl += k;
    c->hdr[c->hl] = 0;
    char *e = memmem(c->hdr, c->hl, "\r\n\r\n", 4);
    if (!e)
      return;
    size_t used = (e - c->hdr) + 4 - old;
    *e = 0;
    p += used;
    n -= used;
    c->status = atoi(c->hdr + 9);
    c->chunked = 0;
    c->clen = -1;
    c->close = !strncmp(c->hdr, "HTTP/1.0", 8);
    for (char *l = strstr(c->hdr, "\r\n"); l; l = strstr(l + 2, "\r\n")) {
      l += 2;
      if (!strncasecmp(l, "content-length:", 15))
        c->clen = atol(l + 15);
      else if (!strncasecmp(l, "transfer-encoding: chunked", 26))
        c->chunked = 1;
      else if (!strncasecmp(l, "connection: close", 17))
        c->close = 1;
      l -= 2;
    }
    c->st = 3;
    if (!c->chunked && c->clen == 0) {
      done(c, 1);
      return;
    }
  }
  if (c->st == 3 && n && body(c, p, n, t))
    done(c, 1);
}
int main(int argc, char **argv) {
  char *host = "127.0.0.1", *path = "/api/openrouter/chat/completions", *model = "fake/d0", *extra = "";
  int port = 0, o, pb = 200, anth = 0;
  double secs = 0;
  long ramp = 0;
  static char hs[8192];
  while ((o = getopt(argc, argv, "h:p:P:H:m:sc:n:t:w:r:kGB:b:T:a")) != -1)
    switch (o) {
    case 'h':
      host = optarg;
      break;
    case 'p':
      port = atoi(optarg);
      break;
    case 'P':
      path = optarg;
      break;
    case 'H':
      strcat(strcat(hs, optarg), "\r\n");
      break;
    case 'm':
      model = optarg;
      break;
    case 's':
      stream = 1;
      break;
    case 'c':
      K = atoi(optarg);
      break;
    case 'n':
      total = atol(optarg);
      break;
    case 't':
      secs = atof(optarg);
      break;
    case 'w':
      warm = atol(optarg);
      break;
    case 'r':
      ramp = atol(optarg);
      break;
    case 'k':
      keep = 0;
      break;
    case 'G':
      get = 1;
      break;
    case 'B':
      extra = optarg;
      break;
    case 'b':
      pb = atoi(optarg);
      break;
    case 'T':
      timeout_ns = atof(optarg) * 1e9;
      break;
    case 'a':
      anth = 1;
      break;
    default:
      return 2;
    }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit rl = {20000, 20000};
  setrlimit(RLIMIT_NOFILE, &rl);
  char *prompt = malloc(pb + 1);
  memset(prompt, 'a', pb);
  prompt[pb] = 0;
  for (int i = 5; i < pb; i += 6)
    prompt[i] = ' ';
  size_t bc = pb + 4096;
  char *bd = malloc(bc);
  int bl =
      snprintf(bd, bc, "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],%s%s%s\"stream\":%s}",
               model, prompt, extra, *extra ? "," : "", anth ? "\"max_tokens\":100," : "", stream ? "true" : "false");
  req = malloc(bl + 16384);
  reql =
      get ? sprintf(req, "GET %s HTTP/1.1\r\nHost: %s:%d\r\n%s%s\r\n", path, host, port, hs,
                    keep ? "" : "Connection: close\r\n")
          : sprintf(
                req,
                "POST %s HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s%s\r\n%s",
                path, host, port, bl, hs, keep ? "" : "Connection: close\r\n", bd);
  addr.sin_family = AF_INET;
  addr.sin_port = htons(port);
  inet_pton(AF_INET, host, &addr.sin_addr);
  ep = epoll_create1(0);
  C = calloc(K, sizeof *C);
  uint64_t t0 = now_ns();
  t_begin = t0;
  if (secs > 0)
    t_end = t0 + secs * 1e9;
  for (int i = 0; i < K; i++) {
    C[i].fd = -1;
    C[i].t_start = t0 + (uint64_t)ramp * 1000000ull * i / K;
  }
  int nst = 0;
  running = K;
  static struct epoll_event ev[512];
  uint64_t hard = (t_end ? t_end : t0) + timeout_ns;
  while (running > 0) {
    uint64_t n = now_ns();
    while (nst < K && C[nst].t_start <= n) {
      next(&C[nst]);
      nst++;
    }
    int wait = 100;
    if (nst < K) {
      int64_t d = ((int64_t)C[nst].t_start - (int64_t)n) / 1000000;
      wait = d < 0 ? 0 : d > 100 ? 100 : d;
    }
    int k = epoll_wait(ep, ev, 512, wait);
    for (int i = 0; i < k; i++) {
      conn *c = ev[i].data.ptr;
      if (c->fd < 0)
        continue;
      if (c->st == 1 && (ev[i].events & EPOLLOUT)) {
        int er = 0;
        socklen_t l = sizeof er;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &er, &l);
        if (er) {
          conn_errs++;
          close(c->fd);
          c->fd = -1;
          stop(c);
          continue;
        }
        dosend(c);
        if (c->fd < 0)
          continue;
      }
      if (ev[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        onread(c);
    }
    if (now_ns() > hard) {
      break;
    }
  }
  uint64_t t1 = now_ns();
  double d = (t1 - t_begin) / 1e9;
  struct rusage ru;
  getrusage(RUSAGE_SELF, &ru);
  long fin = finished, unf = started - warm - finished;
  if (unf < 0)
    unf = 0;
  printf("{\"ok\":%ld,\"errors\":%ld,\"conn_errors\":%ld,\"short\":%ld,\"unfinished\":%ld,\"seconds\":%.4f,\"rps\":%."
         "2f,\"bytes\":%llu,\"client_cpu_s\":%.3f,\"codes\":{",
         okc, errs, conn_errs, short_bodies, unf, d, fin / d, (unsigned long long)bytes,
         ru.ru_utime.tv_sec + ru.ru_stime.tv_sec + (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
  int f = 1;
  for (int i = 0; i < 600; i++)
    if (codes[i]) {
      printf("%s\"%d\":%d", f ? "" : ",", i, codes[i]);
      f = 0;
    }
  printf("}");
  stats("lat_us", &lat);
  stats("ttft_us", &ttft);
  stats("fwd_us", &fwd);
  stats("delay_us", &dly);
  printf("}\n");
  return 0;
}
