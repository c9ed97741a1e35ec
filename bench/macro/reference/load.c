/* The load: 16,384 nodes on one socket that ask one server as fast as it answers, 128 questions in flight.
 *
 *   load PORT SOURCES SWARM WINDOW SEED
 *
 * SOURCES (a power of two) ask from 127.x.y.z of their own, each with an id of its own, and answer when the server
 * asks them; the first SWARM of them are those that replies name, so that the server's table fills as in a network of
 * that size. Commands come on stdin, one JSON line answers each:
 *   server IP:PORT PID | fill SECONDS | announce PEERS | store | run METHOD SECONDS | bare METHOD SECONDS
 * A reply counts when it is well-formed KRPC, echoes the tid, carries an id and comes to the address that asked.
 * `bare` takes any datagram for the oldest question's answer. While measuring it spins: no contestant pays for waking it.
 */
#include "hit.h"
#include "nodes.h"
#include <poll.h>

enum { ASK_PING, ASK_FIND_NODE, ASK_MISS, ASK_HIT, ASK_GET_HIT, ASK_ANNOUNCE, ASK_PUT, METHODS };
enum { TIMEOUT_NS = 1000000000, FILL_BURST = 50, FILL_PAUSE_MS = 50, REFILL = 32 };

static const char *const method_names[METHODS] = {"ping", "find_node", "get_peers_miss", "get_peers_hit", "get_hit",
                                                "announce_peer", "put"};

typedef struct { int64_t sent; uint32_t generation, source; uint8_t method; bool is_busy; } slot;

typedef struct { uint64_t replies, lost, malformed, errors, stale, misrouted, bytes, nodes, values, answered, announced; } counters;

static int fd;
static uint16_t own_port;
static uint32_t sources, swarm, window, busy, cursor, oldest, next_source, kernel_drops;
static bool is_writing;
static uint64_t rng;
static node *nodes;
static slot *slots;
static struct sockaddr_in server;
static pid_t server_pid;
static batch in, out;
static counters seen;

static uint8_t *begin_query(uint8_t *p, const node *from)
{
    p = put_text(p, "d1:ad2:id20:");
    return put_bytes(p, from->id, ID_SIZE);
}

static uint32_t end_query(uint8_t *start, uint8_t *p, const char *method, uint32_t tid)
{
    p = put_text(p, method);
    p = put_text(p, "1:t4:");
    store_be32(p, tid);
    return (uint32_t)(put_text(p + 4, "1:y1:qe") - start);
}

static uint32_t write_query(uint8_t *start, int method, const node *from, uint32_t tid, const span *token)
{
    static const char *const tails[METHODS] = {"e1:q4:ping", "e1:q9:find_node", "e1:q9:get_peers", "e1:q9:get_peers",
                                               "e1:q3:get", "e1:q13:announce_peer", "e1:q3:put"};
    uint8_t random[ID_SIZE], item[ITEM_SIZE], *p = begin_query(start, from);
    if (method != ASK_PING && method != ASK_PUT) {
        const uint8_t *target = method == ASK_GET_HIT ? item_target : method >= ASK_HIT ? hit_target : random;
        if (target == random)
            random_id(&rng, random);
        p = put_text(p, method == ASK_FIND_NODE || method == ASK_GET_HIT ? "6:target20:" : "9:info_hash20:");
        p = put_bytes(p, target, ID_SIZE);
    }
    if (method == ASK_PUT) {
        memset(item, 'v', ITEM_SIZE);
        p = put_string(put_text(p, "5:token"), token->data, token->size);
        p = put_string(put_text(p, "1:v"), item, ITEM_SIZE);
    }
    if (method == ASK_ANNOUNCE) {
        p = put_text(p, "4:porti6881e5:token");
        p = put_string(p, token->data, token->size);
    }
    return end_query(start, p, tails[method], tid);
}

static void ask(uint32_t index, int method, uint32_t source, int64_t now, const span *token)
{
    slot *s = &slots[index];
    s->generation++;
    s->sent = now;
    s->source = source;
    s->method = (uint8_t)method;
    s->is_busy = true;
    busy++;
    uint32_t tid = index | s->generation << 16;
    commit(&out, write_query(reserve(&out), method, &nodes[source], tid, token), &server, nodes[source].ip);
    if (out.count == BATCH)
        flush(fd, &out);
}

static void release(slot *s)
{
    s->is_busy = false;
    busy--;
}

/* Fill the window with questions from sources below `limit`. */
static void refill(int method, uint32_t limit)
{
    int64_t now = now_ns();
    for (uint32_t tried = 0; tried < window && busy < window; tried++) {
        cursor = cursor + 1 < window ? cursor + 1 : 0;
        if (slots[cursor].is_busy) {
            if (now - slots[cursor].sent < TIMEOUT_NS)
                continue;
            seen.lost++;
            release(&slots[cursor]);
        }
        next_source = (next_source * 5 + 3) & (sources - 1);        /* every source once a period, in scattered order */
        ask(cursor, method, next_source % limit, now, NULL);
    }
    flush(fd, &out);
}

static const node *node_at(uint32_t ip)
{
    uint32_t host = ntohl(ip), index = ((host >> 16 & 255) - 64) | (host >> 8 & 255) << 6 | ((host & 255) - 10) << 14;
    return index < sources && nodes[index].ip == ip ? &nodes[index] : NULL;
}

/* A node of ours is asked: answer as any node would. */
static void answer(const message *m, int i)
{
    const node *self = node_at(local_address(&in, i));
    if (!self || !m->tid.size || m->tid.size > 32)
        return;
    uint8_t *start = reserve(&out), *p = put_text(start, "d1:rd2:id20:"), compact[CLOSEST * COMPACT_NODE];
    p = put_bytes(p, self->id, ID_SIZE);
    if (m->target.size == ID_SIZE) {
        p = put_text(p, "5:nodes");
        p = put_string(p, compact, write_closest(nodes, swarm, own_port, m->target.data, compact));
        p = put_text(p, "5:token4:tokn");
    }
    p = put_string(put_text(p, "e1:t"), m->tid.data, m->tid.size);
    commit(&out, (uint32_t)(put_text(p, "1:y1:re") - start), &in.peers[i], self->ip);
    if (out.count == BATCH)
        flush(fd, &out);
    seen.answered++;
}

static void count_reply(const message *m, uint32_t size, int method)
{
    seen.replies++;
    seen.announced += method >= ASK_ANNOUNCE;
    seen.bytes += size;
    seen.nodes += m->nodes.size / COMPACT_NODE;
    seen.values += m->values.size / (COMPACT_PEER + 2);
}

static void take_reply(const message *m, int i)
{
    uint32_t tid = m->tid.size == 4 ? load_be32(m->tid.data) : 0, index = tid & 0xffff;
    slot *s = index < window ? &slots[index] : NULL;
    if (!s || !s->is_busy || (s->generation & 0xffff) != tid >> 16) {
        seen.stale++;
        return;
    }
    uint32_t source = s->source;
    uint8_t method = s->method;
    release(s);
    if (local_address(&in, i) != nodes[source].ip)
        seen.misrouted++;
    else if (m->kind == 'e')
        seen.errors++;
    else if (m->id.size != ID_SIZE)
        seen.malformed++;
    else
        count_reply(m, in.messages[i].msg_len, method);
    if (is_writing && method < ASK_ANNOUNCE && m->token.size)
        ask(index, method == ASK_HIT ? ASK_ANNOUNCE : ASK_PUT, source, now_ns(), &m->token);
}

static void take_anything(uint32_t size)
{
    for (uint32_t tried = 0; tried < window && busy; tried++) {
        oldest = oldest + 1 < window ? oldest + 1 : 0;
        if (slots[oldest].is_busy) {
            release(&slots[oldest]);
            break;
        }
    }
    seen.replies++;
    seen.bytes += size;
}

/* What waits on the socket, at most one batch; returns how many datagrams that were. */
static int take_batch(bool is_bare)
{
    int count = receive_batch(fd, &in);
    kernel_drops = dropped_so_far(&in, count, kernel_drops);
    for (int i = 0; i < count; i++) {
        message m;
        if (is_bare)
            take_anything(in.messages[i].msg_len);
        else if (!parse_message(in.data[i], in.messages[i].msg_len, &m))
            seen.malformed++;
        else if (m.kind == 'q')
            answer(&m, i);
        else
            take_reply(&m, i);
    }
    flush(fd, &out);
    return count;
}

/* Keep answering and receiving for a while without asking anything new. */
static void linger(int milliseconds, bool is_bare)
{
    int64_t end = now_ns() + (int64_t)milliseconds * 1000000;
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    while (now_ns() < end)
        if (poll(&watched, 1, 1) > 0)
            take_batch(is_bare);
}

static void forget_unanswered(void)
{
    for (uint32_t i = 0; i < window; i++)
        if (slots[i].is_busy) {
            seen.lost++;
            release(&slots[i]);
        }
}

static double server_cpu(void)
{
    struct timespec t = {0};
    clockid_t clock;
    if (server_pid && !clock_getcpuclockid(server_pid, &clock))
        clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void run(const char *name, double seconds, bool is_bare)
{
    int method = 0;
    while (method < ASK_ANNOUNCE && strcmp(method_names[method], name))
        method++;
    seen = (counters){0};
    oldest = cursor;
    int64_t start = now_ns(), end = start + (int64_t)(seconds * 1e9);
    double cpu = server_cpu();
    while (now_ns() < end)
        for (int spins = 0; spins < 16; spins++)
            if (!take_batch(is_bare) || window - busy >= REFILL)
                refill(method, sources);
    cpu = server_cpu() - cpu;
    double wall = (double)(now_ns() - start) * 1e-9;
    counters timed = seen;
    linger(100, is_bare);
    forget_unanswered();
    double replies = timed.replies ? (double)timed.replies : 1;
    printf("{\"method\": \"%s\", \"replies\": %lu, \"wall_s\": %.6f, \"cpu_s\": %.6f, \"bytes\": %.1f, \"nodes\": %.2f, "
           "\"values\": %.2f, \"lost\": %lu, \"errors\": %lu, \"malformed\": %lu, \"misrouted\": %lu, \"answered\": %lu, "
           "\"kernel_drops\": %u}\n",
           name, timed.replies, wall, cpu, (double)timed.bytes / replies, (double)timed.nodes / replies,
           (double)timed.values / replies, seen.lost, seen.errors, seen.malformed, seen.misrouted, seen.answered,
           kernel_drops);
}

/* Ask gently, from the nodes that replies name, so that the server learns of them and can ask them back. */
static void fill(double seconds)
{
    int64_t end = now_ns() + (int64_t)(seconds * 1e9), last = end - 500000000;
    uint32_t all = window;
    uint64_t answered = 0;
    bool is_counting = false;
    for (seen = (counters){0}; now_ns() < end;) {
        if (!is_counting && now_ns() > last) {
            answered = seen.answered;
            seen = (counters){0};
            is_counting = true;
        }
        window = all < FILL_BURST ? all : FILL_BURST;
        refill(ASK_FIND_NODE, swarm);
        window = all;
        linger(FILL_PAUSE_MS, false);
    }
    forget_unanswered();
    printf("{\"replies\": %lu, \"nodes\": %.2f, \"answered\": %lu}\n", seen.replies,
           seen.replies ? (double)seen.nodes / (double)seen.replies : 0, answered + seen.answered);
}

/* PEERS sources ask for the one info_hash, and announce themselves with the token they are given. */
static void announce(uint32_t peers)
{
    seen = (counters){0};
    is_writing = true;
    for (uint32_t first = 0; first < peers; first += window) {
        for (uint32_t i = 0; i < window && first + i < peers; i++)
            ask(i, ASK_HIT, first + i, now_ns(), NULL);
        flush(fd, &out);
        linger(200, false);
        forget_unanswered();
    }
    is_writing = false;
    printf("{\"announced\": %lu, \"errors\": %lu, \"lost\": %lu}\n", seen.announced, seen.errors, seen.lost);
}

/* One source puts the one item with the token it is given. */
static void store(void)
{
    seen = (counters){0};
    is_writing = true;
    ask(0, ASK_GET_HIT, 0, now_ns(), NULL);
    flush(fd, &out);
    linger(200, false);
    forget_unanswered();
    is_writing = false;
    printf("{\"stored\": %lu, \"errors\": %lu, \"lost\": %lu}\n", seen.announced, seen.errors, seen.lost);
}

static void obey(char *line)
{
    char word[32];
    double seconds;
    unsigned peers;
    int pid;
    if (sscanf(line, "server %31s %d", word, &pid) == 2) {
        server = parse_address(word);
        server_pid = pid;
        printf("{\"server\": \"%s\"}\n", word);
    } else if (sscanf(line, "fill %lf", &seconds) == 1) {
        fill(seconds);
    } else if (sscanf(line, "announce %u", &peers) == 1) {
        announce(peers);
    } else if (!strcmp(line, "store\n")) {
        store();
    } else if (sscanf(line, "run %31s %lf", word, &seconds) == 2) {
        run(word, seconds, false);
    } else if (sscanf(line, "bare %31s %lf", word, &seconds) == 2) {
        run(word, seconds, true);
    } else {
        fprintf(stderr, "unknown command: %s\n", line);
        exit(2);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s PORT SOURCES SWARM WINDOW SEED\n", argv[0]);
        return 2;
    }
    own_port = (uint16_t)atoi(argv[1]);
    sources = (uint32_t)atoi(argv[2]);
    swarm = (uint32_t)atoi(argv[3]);
    window = (uint32_t)atoi(argv[4]);
    rng = strtoull(argv[5], NULL, 10);
    if (!sources || sources & (sources - 1) || swarm > sources || !window || window > 65535) {
        fprintf(stderr, "SOURCES is a power of two, SWARM at most SOURCES, WINDOW 1 to 65535\n");
        return 2;
    }
    nodes = make_nodes(sources, rng);
    slots = calloc(window, sizeof *slots);
    prepare_batch(&in, true);
    prepare_batch(&out, true);
    fd = open_socket(make_address("0.0.0.0", own_port), true);
    char first[32];
    inet_ntop(AF_INET, &nodes[0].ip, first, sizeof first);
    printf("{\"bootstrap\": \"%s:%u\"}\n", first, own_port);
    fflush(stdout);
    char line[128];
    struct pollfd watched[2] = {{.fd = 0, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    setvbuf(stdin, NULL, _IONBF, 0);
    for (;;) {
        poll(watched, 2, -1);
        if (watched[1].revents)
            take_batch(false);
        if (watched[0].revents && !fgets(line, sizeof line, stdin))
            return 0;
        if (watched[0].revents)
            obey(line);
    }
}
