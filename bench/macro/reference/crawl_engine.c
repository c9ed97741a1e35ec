/* The crawl reference: a census in plain C on one core, doing the protocol work that ours does.
 *
 *   crawl_engine IP:PORT fast|standard MAX_CONTACTS WINDOW SEED OUT
 *
 * Every contact is asked once with a find_node (fast: half of them for a random target, half for their own id), in
 * standard each that answers is asked again for its own id, and a silent one that several have named is asked again
 * within a budget. Endpoints are kept once each in an exact set, one line of the cache a look, whose records are the
 * queue; a node is found when it answers under the id it was named with, or twice under the same one. Rows of 48 bytes
 * go to OUT.
 */
#include "asking.h"
#include "places.h"
#include "rows.h"

enum { STAGE_FIRST, STAGE_OWN, STAGE_RETRY, STAGE_VERIFY, STAGE_DONE };
enum { IS_FOUND = 1, IS_DOUBTED = 2, IS_NAMED = 4 };
enum { RETRY_REFERRERS = 3, MAX_NAMED = 300, NAMED = 64, ROWS = 4096 };
static const double RETRY_SHARE = 0.45;

typedef struct {                /* 32 bytes */
    uint8_t id[ID_SIZE];
    uint32_t ip, next;          /* network order; neighbour in the follow-up list */
    uint16_t port;              /* network order */
    uint8_t stage, flags;
} record;

typedef struct {                /* a contact just named, whose line is on its way into the cache */
    uint64_t hashed;
    uint32_t ip;
    uint16_t port;
    uint8_t id[ID_SIZE];
} named;

static asker net;
static record *records;
static place_set set;
static named ring[NAMED];
static uint32_t ring_first, ring_count;
static uint64_t rng, duplicates, filtered, retries, found, renamed;
static uint32_t count, capacity, next_new, follow_first = NONE, follow_last = NONE, silent_first = NONE, window;
static bool is_standard;
static row rows[ROWS];
static uint32_t row_count;
static FILE *out_file;

/* What the census does not talk to: no port, or an address that is not public (127/8 is, here). */
static bool is_bogon(uint32_t ip, uint16_t port)
{
    uint32_t host = ntohl(ip), first = host >> 24;
    return !port || first == 0 || first == 10 || first >= 224 || (first == 172 && (host >> 20 & 15) == 1) ||
           (first == 192 && (host >> 16 & 255) == 168) || (first == 169 && (host >> 16 & 255) == 254) ||
           (first == 100 && (host >> 22 & 3) == 1);
}

static void name_contact(uint32_t ip, uint16_t port, const uint8_t *id, uint64_t hashed)
{
    place at;
    if (find_place(&set, hashed, &at)) {
        at.line->referrers[at.index] += at.line->referrers[at.index] < 255;
        duplicates++;
        return;
    }
    if (count == capacity || is_bogon(ip, port) || (id && !memcmp(id, net.own_id, ID_SIZE))) {
        filtered++;
        return;
    }
    take_place(&at, hashed);
    record *r = &records[count++];
    r->ip = ip;
    r->port = port;
    r->next = NONE;
    r->stage = STAGE_FIRST;
    r->flags = id ? IS_NAMED : 0;
    if (id)
        memcpy(r->id, id, ID_SIZE);
}

static void settle(uint32_t left)
{
    for (; ring_count > left; ring_count--) {
        named *n = &ring[ring_first];
        ring_first = (ring_first + 1) % NAMED;
        name_contact(n->ip, n->port, n->id, n->hashed);
    }
}

/* The set is larger than any cache: a contact is named a few replies later, when its line has come. */
static void merge(const span *nodes)
{
    uint32_t total = nodes->size / COMPACT_NODE;
    total = total < MAX_NAMED ? total : MAX_NAMED;
    for (uint32_t i = 0; i < total; i++) {
        const uint8_t *node = nodes->data + i * COMPACT_NODE;
        named *n = &ring[(ring_first + ring_count++) % NAMED];
        memcpy(n->id, node, ID_SIZE);
        memcpy(&n->ip, node + ID_SIZE, 4);
        memcpy(&n->port, node + ID_SIZE + 4, 2);
        n->hashed = hash_place(n->ip, n->port);
        __builtin_prefetch(&set.lines[home_line(&set, n->hashed)], 1);
        if (ring_count == NAMED)
            settle(NAMED - 1);
    }
}

static void follow(uint32_t index)
{
    records[index].next = NONE;
    if (follow_last == NONE)
        follow_first = index;
    else
        records[follow_last].next = index;
    follow_last = index;
}

static void write_rows(void)
{
    if (fwrite(rows, sizeof(row), row_count, out_file) != row_count)
        die("fwrite");
    row_count = 0;
}

static void accept_node(record *r, const message *m, int64_t rtt_ns)
{
    if (r->flags & IS_FOUND)
        return;
    r->flags |= IS_FOUND;
    found++;
    row *x = &rows[row_count++];
    memset(x, 0, sizeof *x);
    x->ip[10] = x->ip[11] = 0xff;
    memcpy(x->ip + 12, &r->ip, 4);
    memcpy(x->id, r->id, ID_SIZE);
    x->rtt_us = (uint32_t)(rtt_ns / 1000);
    x->port = ntohs(r->port);
    x->status = (r->flags & IS_DOUBTED) != 0;
    if (m->version.size == 4) {
        memcpy(x->version, m->version.data, 4);
        x->has_version = 1;
    }
    if (row_count == ROWS)
        write_rows();
}

/* Is the node who it was said to be? False: it makes ids up. */
static bool judge_id(record *r, const message *m, int64_t rtt_ns)
{
    if (r->flags & IS_NAMED && !memcmp(r->id, m->id.data, ID_SIZE)) {
        accept_node(r, m, rtt_ns);
        r->flags &= (uint8_t)~IS_DOUBTED;
        return true;
    }
    if (r->flags & IS_DOUBTED)
        return false;
    memcpy(r->id, m->id.data, ID_SIZE);
    r->flags |= IS_NAMED | IS_DOUBTED;
    renamed++;
    return true;
}

static void on_outcome(asker *a, const transaction *t, const message *m)
{
    record *r = &records[t->owner];
    if (!m) {
        bool may_retry = is_standard && r->stage == STAGE_FIRST;
        r->stage = may_retry ? STAGE_RETRY : STAGE_DONE;
        if (may_retry) {
            r->next = silent_first;
            silent_first = t->owner;
        }
        return;
    }
    merge(&m->nodes);
    if (!judge_id(r, m, a->now - t->sent)) {
        r->stage = STAGE_DONE;
        return;
    }
    bool was_first = r->stage == STAGE_FIRST || r->stage == STAGE_RETRY;
    r->stage = is_standard && was_first ? STAGE_OWN : r->flags & IS_DOUBTED ? STAGE_VERIFY : STAGE_DONE;
    if (r->stage != STAGE_DONE)
        follow(t->owner);
}

/* Follow-ups first, then new contacts, then the silent that enough have named. */
static uint32_t pick(void)
{
    uint32_t index = follow_first;
    if (index != NONE) {
        follow_first = records[index].next;
        if (follow_first == NONE)
            follow_last = NONE;
        return index;
    }
    if (next_new < count)
        return next_new++;
    while (silent_first != NONE && (double)retries < RETRY_SHARE * (double)found) {
        index = silent_first;
        silent_first = records[index].next;
        place at;
        if (find_place(&set, hash_place(records[index].ip, records[index].port), &at) &&
            at.line->referrers[at.index] >= RETRY_REFERRERS) {
            retries++;
            return index;
        }
    }
    return NONE;
}

static void draw_target(const record *r, uint8_t *target)
{
    bool is_second = r->stage == STAGE_OWN || r->stage == STAGE_VERIFY;
    random_id(&rng, target);
    if (r->flags & IS_NAMED && (is_second || (!is_standard && next_random(&rng) >> 63))) {
        uint8_t flip = (uint8_t)(1 + target[18] % 255);
        memcpy(target, r->id, ID_SIZE);
        target[18] ^= flip;
    }
}

static void ask(asker *a)
{
    settle(0);
    while (a->open_count < window) {
        uint32_t index = pick();
        if (index == NONE)
            return;
        transaction *t = open_transaction(a, records[index].ip, records[index].port);
        uint8_t target[ID_SIZE];
        t->owner = index;
        draw_target(&records[index], target);
        send_question(a, t, false, target);
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: %s IP:PORT fast|standard MAX_CONTACTS WINDOW SEED OUT\n", argv[0]);
        return 2;
    }
    struct sockaddr_in entry = parse_address(argv[1]);
    is_standard = !strcmp(argv[2], "standard");
    capacity = (uint32_t)atoi(argv[3]);
    window = (uint32_t)atoi(argv[4]);
    rng = strtoull(argv[5], NULL, 10);
    out_file = fopen(argv[6], "wb");
    if (!out_file || !capacity || !window || window > SLAB / 2) {
        fprintf(stderr, "OUT must be writable, MAX_CONTACTS positive, WINDOW 1 to %d\n", SLAB / 2);
        return 2;
    }
    open_places(&set, capacity);
    records = map_pages((size_t)capacity * sizeof *records);
    open_asker(&net, rng, 2000000000);
    int64_t start = now_ns();
    name_contact(entry.sin_addr.s_addr, entry.sin_port, NULL, hash_place(entry.sin_addr.s_addr, entry.sin_port));
    for (ask(&net), flush_questions(&net); net.open_count; )
        turn(&net, ask);
    write_rows();
    if (fclose(out_file))
        die("fclose");
    double elapsed = (double)(now_ns() - start) * 1e-9;
    printf("{\"found\": %lu, \"contacts\": %u, \"sent\": %lu, \"answered\": %lu, \"timeouts\": %lu, \"retries\": %lu, "
           "\"duplicates\": %lu, \"filtered\": %lu, \"malformed\": %lu, \"ignored\": %lu, \"kernel_drops\": %u, "
           "\"elapsed_s\": %.6f, \"cpu_s\": %.6f, \"max_rss_bytes\": %ld}\n",
           found, count, net.sent, net.answered, net.timeouts, retries, duplicates, filtered, net.malformed, net.ignored,
           net.kernel_drops, elapsed, own_cpu(), max_rss_bytes());
    return 0;
}
