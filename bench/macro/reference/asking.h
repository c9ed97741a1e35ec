/* Outstanding queries, and the loop around them, shared by the lookup and the crawl engine.
 *
 * A slab whose index and generation are the 4-byte tid; a reply counts only from the endpoint that was asked. All time
 * out alike, so the deadlines are one list in order of sending.
 */
#ifndef ASKING_H
#define ASKING_H

#include "udp.h"
#include <poll.h>
#include <sys/resource.h>

enum { INDEX_BITS = 17, SLAB = 1 << INDEX_BITS, NONE = 0xFFFFFFFF, DRAINS = 8 };

typedef struct {
    int64_t sent;
    uint32_t ip, owner, owner_generation, place;        /* ip in network order; the rest is the owner's */
    uint32_t generation, next, previous;
    uint16_t port;                                      /* network order */
    bool is_open;
} transaction;

typedef struct {
    int fd;
    uint32_t free_first, first, last, open_count, kernel_drops;
    uint64_t sent, answered, errors, timeouts, ignored, malformed;
    int64_t timeout_ns, now;
    uint8_t own_id[ID_SIZE];
    transaction *slab;
    batch in, out;
} asker;

static inline void open_asker(asker *a, uint64_t seed, int64_t timeout_ns)
{
    a->fd = open_socket((struct sockaddr_in){.sin_family = AF_INET}, false);
    int on = 1;
    setsockopt(a->fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    a->slab = calloc(SLAB, sizeof *a->slab);
    if (!a->slab)
        die("calloc");
    for (uint32_t i = 0; i < SLAB; i++)
        a->slab[i].next = i + 1 < SLAB ? i + 1 : NONE;
    a->free_first = 0;
    a->first = a->last = NONE;
    a->timeout_ns = timeout_ns;
    a->now = now_ns();
    random_id(&seed, a->own_id);
    prepare_batch(&a->in, true);
    prepare_batch(&a->out, false);
}

/* A query for ip:port (network order); NULL when too many are out. Its text is begun, for the caller to finish. */
static inline transaction *open_transaction(asker *a, uint32_t ip, uint16_t port)
{
    uint32_t index = a->free_first;
    if (index == NONE)
        return NULL;
    transaction *t = &a->slab[index];
    a->free_first = t->next;
    t->generation++;
    t->sent = a->now;
    t->ip = ip;
    t->port = port;
    t->is_open = true;
    t->next = NONE;
    t->previous = a->last;
    if (a->last == NONE)
        a->first = index;
    else
        a->slab[a->last].next = index;
    a->last = index;
    a->open_count++;
    return t;
}

static inline void close_transaction(asker *a, transaction *t)
{
    uint32_t index = (uint32_t)(t - a->slab);
    if (t->previous == NONE)
        a->first = t->next;
    else
        a->slab[t->previous].next = t->next;
    if (t->next == NONE)
        a->last = t->previous;
    else
        a->slab[t->next].previous = t->previous;
    t->is_open = false;
    t->next = a->free_first;
    a->free_first = index;
    a->open_count--;
}

static inline void flush_questions(asker *a)
{
    flush(a->fd, &a->out);
}

static inline void send_question(asker *a, const transaction *t, bool is_get_peers, const uint8_t *target)
{
    static const char head[] = "d1:ad2:id20:", find[] = "6:target20:", get[] = "9:info_hash20:";
    static const char find_tail[] = "e1:q9:find_node2:roi1e1:t4:", get_tail[] = "e1:q9:get_peers2:roi1e1:t4:";
    uint8_t *start = reserve(&a->out), *p = put_bytes(start, head, sizeof head - 1);
    p = put_bytes(p, a->own_id, ID_SIZE);
    p = is_get_peers ? put_bytes(p, get, sizeof get - 1) : put_bytes(p, find, sizeof find - 1);
    p = put_bytes(p, target, ID_SIZE);
    p = is_get_peers ? put_bytes(p, get_tail, sizeof get_tail - 1) : put_bytes(p, find_tail, sizeof find_tail - 1);
    store_be32(p, (uint32_t)(t - a->slab) | t->generation << INDEX_BITS);
    p = put_bytes(p + 4, "1:v4:BC\0\1" "1:y1:qe", 16);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = t->port, .sin_addr.s_addr = t->ip};
    commit(&a->out, (uint32_t)(p - start), &to, 0);
    a->sent++;
    if (a->out.count == BATCH)
        flush_questions(a);
}

/* The transaction that a datagram answers, or NULL. */
static inline transaction *match(asker *a, const message *m, const struct sockaddr_in *from)
{
    if (m->tid.size != 4)
        return NULL;
    uint32_t tid = load_be32(m->tid.data);
    transaction *t = &a->slab[tid & (SLAB - 1)];
    bool is_ours = t->is_open && (t->generation << INDEX_BITS) == (tid & ~(uint32_t)(SLAB - 1)) &&
                   t->ip == from->sin_addr.s_addr && t->port == from->sin_port;
    return is_ours ? t : NULL;
}

/* The owner's part: an answer (m not NULL) or silence; `t` is closed already but still readable. */
static void on_outcome(asker *a, const transaction *t, const message *m);

static inline int take_batch(asker *a)
{
    int count = receive_batch(a->fd, &a->in);
    a->kernel_drops = dropped_so_far(&a->in, count, a->kernel_drops);
    for (int i = 0; i < count; i++) {
        message m;
        if (!parse_message(a->in.data[i], a->in.messages[i].msg_len, &m)) {
            a->malformed++;
            continue;
        }
        transaction *t = m.kind == 'q' ? NULL : match(a, &m, &a->in.peers[i]);
        if (!t) {
            a->ignored++;
            continue;
        }
        bool is_answer = m.kind == 'r' && m.id.size == ID_SIZE;
        *(is_answer ? &a->answered : &a->errors) += 1;
        close_transaction(a, t);
        on_outcome(a, t, is_answer ? &m : NULL);
    }
    return count;
}

static inline void expire(asker *a)
{
    while (a->first != NONE && a->now - a->slab[a->first].sent > a->timeout_ns) {
        transaction *t = &a->slab[a->first];
        a->timeouts++;
        close_transaction(a, t);
        on_outcome(a, t, NULL);
    }
}

/* Wait up to 10 ms, take what came; `ask` may open new questions after every batch. */
static inline void turn(asker *a, void (*ask)(asker *))
{
    struct pollfd watched = {.fd = a->fd, .events = POLLIN};
    poll(&watched, 1, 10);
    for (int drain = 0, count = BATCH; drain < DRAINS && count == BATCH; drain++) {
        count = take_batch(a);
        a->now = now_ns();
        ask(a);
        flush_questions(a);
    }
    expire(a);
    ask(a);             /* when all have timed out at once, nothing else would */
    flush_questions(a);
}

static inline double own_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline long max_rss_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss * 1024;
}

#endif
