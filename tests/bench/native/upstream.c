/* Fake OpenRouter-like upstream: one thread, epoll, no dependencies.
 *   ./upstream [-p port] [-b bind-ip] [-n entries of the catalogue beside the ones that -m names] [-m model,model]
 * POST */ /*chat/completions : behaviour chosen by the last path part of "model" in the JSON body,
 *   tokens joined by '-':  d<ms> delay before the answer   s<N> number of SSE chunks (default 100)
 *   i<ms> interval between chunks (default 20; "i500us" = microseconds)   z<bytes> chunk content pad (default 60)
 *   e<status> answer this HTTP status with an OpenAI-style error   g<bytes> junk padding of the non-stream answer
 *   example "fake/d50-s100-i20"
 * stream=true in the body => SSE; each event carries content "T<monotonic ns>;" taken just before write();
 * the first event carries "R<monotonic ns>;" too: when the request had been read completely.
 * GET *models (about 1.3 KB an entry), *credits, *key (both grow with the answers' cost) ; GET /__stats ; GET /__reset
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct conn {
  int fd, heap; /* heap: index in timer heap or -1 */
  int state;    /* 0 reading, 1 delaying/streaming */
  int stream, nchunks, sent, status, pad, junk, close_after;
  uint64_t due, interval, t_recv;
  char *in;
  size_t in_len, in_cap;
  char *out;
  size_t out_len, out_off, out_cap;
  uint32_t ev;
  char model[128];
  uint64_t serial;
} conn;

static int ep;
static conn **heap;
static int heap_n, heap_cap;
static uint64_t st_accept, st_open, st_req, st_stream, st_stream_active, st_stream_abort, st_stream_done, st_wait_abort,
    st_chunks, st_blocked, st_models, st_credits, st_last_abort_ns, st_max_late_us, st_max_active, answered;
static char *models;
static size_t models_len;
#define COST 0.00123 /* dollars, of every answer */
static char padbuf[65536];

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void hswap(int a, int b) {
  conn *t = heap[a];
  heap[a] = heap[b];
  heap[b] = t;
  heap[a]->heap = a;
  heap[b]->heap = b;
}
static void hup(int i) {
  while (i && heap[(i - 1) / 2]->due > heap[i]->due) {
    hswap(i, (i - 1) / 2);
    i = (i - 1) / 2;
  }
}
static void hdown(int i) {
  for (;;) {
    int l = 2 * i + 1, m = i;
    if (l < heap_n && heap[l]->due < heap[m]->due)
      m = l;
    if (l + 1 < heap_n && heap[l + 1]->due < heap[m]->due)
      m = l + 1;
    if (m == i)
      return;
    hswap(i, m);
    i = m;
  }
}
static void hadd(conn *c) {
  if (heap_n == heap_cap) {
    heap_cap = heap_cap ? heap_cap * 2 : 256;
    heap = realloc(heap, heap_cap * sizeof *heap);
  }
  c->heap = heap_n;
  heap[heap_n++] = c;
  hup(c->heap);
}
static void hdel(conn *c) {
  if (c->heap < 0)
    return;
  int i = c->heap;
  heap_n--;
  if (i != heap_n) {
    heap[i] = heap[heap_n];
    heap[i]->heap = i;
    hup(i);
    hdown(heap[i]->heap);
  }
  c->heap = -1;
}

static void setev(conn *c, uint32_t ev) {
  if (c->ev == ev)
    return;
  struct epoll_event e = {.events = ev, .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
  c->ev = ev;
}

static void cclose(conn *c) {
  if (c->state == 1) {
    if (c->stream && c->sent)
      st_stream_abort++;
    else
      st_wait_abort++;
    st_last_abort_ns = now_ns();
    if (c->stream)
      st_stream_active--;
  }
  hdel(c);
  close(c->fd);
  st_open--;
  free(c->in);
  free(c->out);
  free(c);
}
/* returns 0 ok, -1 closed */
static int cflush(conn *c) {
  while (c->out_off < c->out_len) {
    ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EAGAIN) {
        setev(c, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
        return 0;
      }
      if (errno == EINTR)
        continue;
      cclose(c);
      return -1;
    }
    c->out_off += n;
  }
  c->out_off = c->out_len = 0;
  setev(c, EPOLLIN | EPOLLRDHUP);
  return 0;
}
static void cput(conn *c, const char *d, size_t n) {
  if (c->out_len + n > c->out_cap) {
    c->out_cap = (c->out_len + n) * 2;
    c->out = realloc(c->out, c->out_cap);
  }
  memcpy(c->out + c->out_len, d, n);
  c->out_len += n;
}
static void cputs(conn *c, const char *s) {
  cput(c, s, strlen(s));
}

static int process(conn *c);
static int finish(conn *c) { /* request fully answered */
  if (c->state == 1 && c->stream) {
    st_stream_active--;
    st_stream_done++;
    answered++;
  }
  c->state = 0;
  hdel(c);
  if (cflush(c))
    return -1;
  if (c->close_after && c->out_len == 0) {
    cclose(c);
    return -1;
  }
  if (c->in_len)
    return process(c);
  return 0;
}
static int answer_json(conn *c, int status, const char *body, size_t n) {
  char h[512];
  int k = snprintf(h, sizeof h,
                   "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nX-Fake: 1\r\n%s\r\n",
                   status, status == 200 ? "OK" : "Error", n, c->close_after ? "Connection: close\r\n" : "");
  cput(c, h, k);
  cput(c, body, n);
  return finish(c);
}
static int answer_completion(conn *c) {
  static char b[1 << 21];
  int k;
  if (c->status && c->status != 200) {
    k = snprintf(b, sizeof b,
                 "{\"error\":{\"message\":\"injected failure\",\"code\":%d,\"metadata\":{\"provider_name\":\"Fake\"}}}",
                 c->status);
    return answer_json(c, c->status, b, k);
  }
  answered++;
  k = snprintf(b, sizeof b,
               "{\"id\":\"gen-1764000000-%016llx\",\"provider\":\"Fake\",\"model\":\"%s\",\"object\":\"chat."
               "completion\",\"created\":1764000000,"
               "\"choices\":[{\"logprobs\":null,\"finish_reason\":\"stop\",\"native_finish_reason\":\"stop\",\"index\":"
               "0,\"message\":{\"role\":\"assistant\",\"content\":\"%.*s\",\"refusal\":null,\"reasoning\":null}}],"
               "\"system_fingerprint\":null,\"usage\":{\"prompt_tokens\":123,\"completion_tokens\":210,\"total_"
               "tokens\":333,\"cost\":%.5f,\"is_byok\":false,"
               "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"cost_details\":{\"upstream_"
               "inference_cost\":null},\"completion_tokens_details\":{\"reasoning_tokens\":0,\"image_tokens\":0}}}",
               (unsigned long long)c->serial, c->model, c->junk ? c->junk : 850, padbuf, COST);
  return answer_json(c, 200, b, k);
}
static void put_event(conn *c, const char *data, int n) {
  char h[16];
  int k = snprintf(h, sizeof h, "%x\r\n", n);
  cput(c, h, k);
  cput(c, data, n);
  cput(c, "\r\n", 2);
}

static int tick(conn *c, uint64_t now) { /* timer fired; -1 closed */
  if (!c->stream) {
    hdel(c);
    return answer_completion(c);
  }
  uint64_t late = (now - c->due) / 1000;
  if (late > st_max_late_us)
    st_max_late_us = late;
  if (c->out_len > c->out_off) {
    st_blocked++;
    c->due += c->interval ? c->interval : 1000000;
    if (c->due < now)
      c->due = now + (c->interval ? c->interval : 1000000);
    hdown(c->heap);
    return 0;
  }
  char b[70000];
  int k;
  if (c->sent == 0 && c->status && c->status != 200) {
    hdel(c);
    st_stream_active--;
    c->stream = 0;
    return answer_completion(c);
  }
  if (c->sent == 0)
    cputs(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: "
             "chunked\r\nX-Fake: 1\r\n\r\n");
  if (c->sent < c->nchunks) {
    char r[40] = "";
    if (c->sent == 0)
      snprintf(r, sizeof r, "R%019llu;", (unsigned long long)c->t_recv);
    k = snprintf(
        b, sizeof b,
        "data: "
        "{\"id\":\"gen-%llu\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"%s\",\"choices\":"
        "[{\"index\":0,\"delta\":{%s\"content\":\"%sT%019llu;%.*s\"},\"finish_reason\":null}]}\n\n",
        (unsigned long long)c->serial, c->model, c->sent == 0 ? "\"role\":\"assistant\"," : "", r,
        (unsigned long long)now_ns(), c->pad, padbuf);
    put_event(c, b, k);
    c->sent++;
    st_chunks++;
    if (c->sent < c->nchunks) {
      c->due += c->interval;
      if (c->due + 50 * c->interval < now)
        c->due = now + c->interval;
      hdown(c->heap);
      return cflush(c);
    }
  }
  k = snprintf(b, sizeof b,
               "data: "
               "{\"id\":\"gen-%llu\",\"object\":\"chat.completion.chunk\",\"created\":1764000000,\"model\":\"%s\","
               "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}],\"usage\":{"
               "\"prompt_tokens\":123,\"completion_tokens\":%d,\"total_tokens\":%d,\"cost\":%.5f}}\n\n",
               (unsigned long long)c->serial, c->model, c->nchunks, 123 + c->nchunks, COST);
  put_event(c, b, k);
  put_event(c, "data: [DONE]\n\n", 14);
  cputs(c, "0\r\n\r\n");
  return finish(c);
}

static void spec(conn *c, const char *body) {
  c->nchunks = 100;
  c->interval = 20000000;
  c->pad = 60;
  c->status = 200;
  c->junk = 0;
  c->due = 0;
  strcpy(c->model, "none");
  const char *m = strstr(body, "\"model\"");
  if (!m)
    return;
  m += 7;
  while (*m == ' ' || *m == ':')
    m++;
  if (*m != '"')
    return;
  m++;
  const char *e = strchr(m, '"');
  if (!e)
    return;
  int n = e - m;
  if (n > 127)
    n = 127;
  memcpy(c->model, m, n);
  c->model[n] = 0;
  char t[128];
  const char *s = strrchr(c->model, '/');
  strcpy(t, s ? s + 1 : c->model);
  for (char *sv, *p = strtok_r(t, "-", &sv); p; p = strtok_r(NULL, "-", &sv)) {
    long v = atol(p + 1);
    switch (*p) {
    case 'd':
      c->due = v * 1000000ull;
      break;
    case 's':
      c->nchunks = v;
      break;
    case 'i':
      c->interval = strstr(p, "us") ? v * 1000ull : v * 1000000ull;
      break;
    case 'z':
      c->pad = v > 60000 ? 60000 : v;
      break;
    case 'e':
      c->status = v;
      break;
    case 'g':
      c->junk = v > 60000 ? 60000 : v;
      break;
    }
  }
}
static char *ci(char *h, const char *name) { /* header value or NULL; h ends at \r\n\r\n, NUL-terminated */
  size_t n = strlen(name);
  for (char *p = h; (p = strchr(p, '\n'));) {
    p++;
    if (!strncasecmp(p, name, n) && p[n] == ':') {
      p += n + 1;
      while (*p == ' ')
        p++;
      return p;
    }
  }
  return NULL;
}
static int process(conn *c) {
  if (c->state)
    return 0;
  c->in[c->in_len] = 0;
  char *he = memmem(c->in, c->in_len, "\r\n\r\n", 4);
  if (!he)
    return 0;
  *he = 0;
  size_t hl = he - c->in + 4;
  char *cl = ci(c->in, "content-length"), *te = ci(c->in, "transfer-encoding"), *cn = ci(c->in, "connection");
  size_t blen = 0, total;
  char *body = c->in + hl;
  char *dec = NULL;
  if (te && !strncasecmp(te, "chunked", 7)) {
    dec = malloc(c->in_len + 1);
    size_t dl = 0;
    char *p = body, *end = c->in + c->in_len;
    int ok = 0;
    for (;;) {
      char *nl = memmem(p, end - p, "\r\n", 2);
      if (!nl)
        break;
      size_t n = strtoul(p, NULL, 16);
      p = nl + 2;
      if (p + n + 2 > end)
        break;
      memcpy(dec + dl, p, n);
      dl += n;
      p += n + 2;
      if (!n) {
        ok = 1;
        break;
      }
    }
    if (!ok) {
      *he = '\r';
      free(dec);
      return 0;
    }
    dec[dl] = 0;
    blen = dl;
    total = p - c->in;
  } else {
    blen = cl ? strtoul(cl, NULL, 10) : 0;
    if (c->in_len < hl + blen) {
      *he = '\r';
      return 0;
    }
    total = hl + blen;
  }
  c->close_after = cn && !strncasecmp(cn, "close", 5);
  st_req++;
  c->serial = st_req;
  c->t_recv = now_ns();
  char save = 0;
  char *b = dec;
  if (!b) {
    save = body[blen];
    body[blen] = 0;
    b = body;
  }
  char path[256] = "";
  sscanf(c->in, "%*s %255s", path);
  char *q = strchr(path, '?');
  if (q)
    *q = 0;
  size_t pl = strlen(path);
  int post = !strncmp(c->in, "POST", 4), kind = 0;
#define ENDS(s) (pl >= strlen(s) && !strcmp(path + pl - strlen(s), s))
  if (post && ENDS("/chat/completions")) {
    kind = 1;
    spec(c, b);
    char *s = strstr(b, "\"stream\"");
    c->stream = 0;
    if (s) {
      s += 8;
      while (*s == ' ' || *s == ':')
        s++;
      c->stream = !strncmp(s, "true", 4);
    }
  } else if (ENDS("/models"))
    kind = 2;
  else if (ENDS("/credits"))
    kind = 3;
  else if (ENDS("/key"))
    kind = 6;
  else if (ENDS("/__stats"))
    kind = 4;
  else if (ENDS("/__reset"))
    kind = 5;
  if (!dec)
    body[blen] = save;
  else
    free(dec);
  memmove(c->in, c->in + total, c->in_len - total);
  c->in_len -= total;
  char o[2048];
  int k;
  switch (kind) {
  case 1:
    if (!c->stream && !c->due)
      return answer_completion(c);
    c->state = 1;
    c->sent = 0;
    c->due += c->t_recv;
    if (c->stream) {
      st_stream++;
      st_stream_active++;
      if (st_stream_active > st_max_active)
        st_max_active = st_stream_active;
      if (c->due <= c->t_recv) {
        c->due = c->t_recv;
        hadd(c);
        return tick(c, now_ns());
      }
    }
    hadd(c);
    return 0;
  case 2:
    st_models++;
    return answer_json(c, 200, models, models_len);
  case 3:
    st_credits++;
    k = snprintf(o, sizeof o, "{\"data\":{\"total_credits\":1000000,\"total_usage\":%.5f}}", answered * COST);
    return answer_json(c, 200, o, k);
  case 6:
    k = snprintf(o, sizeof o,
                 "{\"data\":{\"label\":\"sk-or-v1-ben...nch\",\"limit\":null,\"limit_remaining\":null,\"usage\":%.5f,"
                 "\"is_free_tier\":false,\"rate_limit\":{\"requests\":-1,\"interval\":\"10s\"}}}",
                 answered * COST);
    return answer_json(c, 200, o, k);
  case 4:
  case 5: {
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    k = snprintf(
        o, sizeof o,
        "{\"accepted\":%llu,\"open\":%llu,\"requests\":%llu,\"streams\":%llu,\"active\":%llu,\"max_active\":%llu,"
        "\"aborted\":%llu,\"wait_aborted\":%llu,\"done\":%llu,\"chunks\":%llu,\"blocked_ticks\":%llu,\"models\":%llu,"
        "\"credits\":%llu,\"last_abort_ns\":%llu,\"max_late_us\":%llu,\"now_ns\":%llu,\"cpu_s\":%.3f}",
        (unsigned long long)st_accept, (unsigned long long)st_open, (unsigned long long)st_req,
        (unsigned long long)st_stream, (unsigned long long)st_stream_active, (unsigned long long)st_max_active,
        (unsigned long long)st_stream_abort, (unsigned long long)st_wait_abort, (unsigned long long)st_stream_done,
        (unsigned long long)st_chunks, (unsigned long long)st_blocked, (unsigned long long)st_models,
        (unsigned long long)st_credits, (unsigned long long)st_last_abort_ns, (unsigned long long)st_max_late_us,
        (unsigned long long)now_ns(),
        ru.ru_utime.tv_sec + ru.ru_utime.tv_usec / 1e6 + ru.ru_stime.tv_sec + ru.ru_stime.tv_usec / 1e6);
    if (kind == 5)
      st_accept = st_req = st_stream = st_stream_abort = st_wait_abort = st_stream_done = st_chunks = st_blocked =
          st_models = st_credits = st_max_late_us = st_max_active = st_last_abort_ns = 0;
    return answer_json(c, 200, o, k);
  }
  default:
    return answer_json(c, 404, "{\"error\":{\"message\":\"no such path\",\"code\":404}}", 49);
  }
}

static void put_entry(const char *id, const char *name) { /* one model of the catalogue */
  models_len += sprintf(
      models + models_len,
      "%s{\"id\":\"%s\",\"name\":\"%s\",\"created\":1764000000,\"description\":\"%.*s\",\"context_length\":131072,"
      "\"architecture\":{\"modality\":\"text->text\",\"input_modalities\":[\"text\"],\"output_modalities\":[\"text\"],"
      "\"tokenizer\":\"Other\",\"instruct_type\":null},\"pricing\":{\"prompt\":\"0.0000005\",\"completion\":\"0."
      "0000015\",\"request\":\"0\",\"image\":\"0\"},\"top_provider\":{\"context_length\":131072,\"max_completion_"
      "tokens\":16384,\"is_moderated\":false},\"supported_parameters\":[\"max_tokens\",\"temperature\",\"tools\"]}",
      models[models_len - 1] == '[' ? "" : ",", id, name, 800, padbuf);
}
int main(int argc, char **argv) {
  int port = 9100, entries = 400, o;
  const char *ip = "127.0.0.1";
  char *extra = strdup("");
  while ((o = getopt(argc, argv, "p:b:n:m:")) != -1)
    switch (o) {
    case 'p':
      port = atoi(optarg);
      break;
    case 'b':
      ip = optarg;
      break;
    case 'n':
      entries = atoi(optarg);
      break;
    case 'm':
      extra = strdup(optarg);
      break;
    default:
      return 2;
    }
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* never outlives the benchmark */
  signal(SIGPIPE, SIG_IGN);
  memset(padbuf, 'x', sizeof padbuf);
  for (size_t i = 7; i < sizeof padbuf; i += 8)
    padbuf[i] = ' ';
  models = malloc((size_t)entries * 2000 + strlen(extra) * 50 + 200000);
  models_len = sprintf(models, "{\"data\":[");
  for (char *sv, *id = strtok_r(extra, ",", &sv); id; id = strtok_r(NULL, ",", &sv))
    put_entry(id, id);
  for (int i = 0; i < entries; i++) {
    char id[64], name[64];
    snprintf(id, sizeof id, "vendor%d/model-%d", i % 50, i);
    snprintf(name, sizeof name, "Vendor %d: Model %d", i % 50, i);
    put_entry(id, name);
  }
  models_len += sprintf(models + models_len, "]}");
  int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, ip, &a.sin_addr);
  if (bind(ls, (void *)&a, sizeof a) || listen(ls, 4096)) {
    perror("bind");
    return 1;
  }
  ep = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
  static struct epoll_event evs[512];
  for (;;) {
    struct timespec ts, *tp = NULL;
    if (heap_n) {
      uint64_t n = now_ns(), d = heap[0]->due > n ? heap[0]->due - n : 0;
      ts.tv_sec = d / 1000000000ull;
      ts.tv_nsec = d % 1000000000ull;
      tp = &ts;
    }
    int n = epoll_pwait2(ep, evs, 512, tp, NULL);
    if (n < 0 && errno != EINTR) {
      perror("epoll");
      return 1;
    }
    for (int i = 0; i < n; i++) {
      conn *c = evs[i].data.ptr;
      if (!c) {
        for (;;) {
          int fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
          if (fd < 0)
            break;
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          c = calloc(1, sizeof *c);
          c->fd = fd;
          c->heap = -1;
          c->ev = EPOLLIN | EPOLLRDHUP;
          st_accept++;
          st_open++;
          struct epoll_event x = {.events = c->ev, .data.ptr = c};
          epoll_ctl(ep, EPOLL_CTL_ADD, fd, &x);
        }
        continue;
      }
      if (evs[i].events & (EPOLLERR | EPOLLHUP)) {
        cclose(c);
        continue;
      }
      if ((evs[i].events & EPOLLOUT) && cflush(c))
        continue;
      if (evs[i].events & (EPOLLIN | EPOLLRDHUP)) {
        if (c->in_cap - c->in_len < 16385) {
          c->in_cap = c->in_cap ? c->in_cap * 2 : 32768;
          if (c->in_cap - c->in_len < 16385)
            c->in_cap += 16385;
          c->in = realloc(c->in, c->in_cap);
        }
        ssize_t r = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len - 1, 0);
        if (r == 0 || (r < 0 && errno != EAGAIN && errno != EINTR)) {
          cclose(c);
          continue;
        }
        if (r > 0) {
          c->in_len += r;
          process(c);
        }
      }
    }
    uint64_t nn = now_ns();
    while (heap_n && heap[0]->due <= nn) {
      conn *c = heap[0];
      tick(c, nn);
    }
  }
}
