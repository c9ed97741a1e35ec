/* The lookup reference: get_peers lookups in plain C on one core, by the rules that ours follow.
 *
 *   lookup_engine IP:PORT CONCURRENCY SECONDS SEED
 *
 * alpha 4; a lookup starts from the 16 closest of a routing table (k 8, kept current by every answer) and ends when
 * the 8 closest candidates that have not failed have answered, 16 once two have failed. Peers are kept once each, at
 * most one candidate stands for an endpoint, an id and a /24. A lookup that ends makes room for the next. One JSON line.
 */
#include "asking.h"

enum { ALPHA = 4, WIDTH = 8, WIDE_WIDTH = 16, SEEDS = 16, MAX_CANDIDATES = 128, MAX_VALUES = 256, MAX_NAMED = 16, K = 8 };
enum { FRESH, ASKED, ANSWERED, FAILED };
enum { WARM_UP_LOOKUPS = 200, TOKEN = 64 };

typedef struct { uint8_t id[ID_SIZE]; uint32_t ip; uint16_t port; bool has_id; } contact;   /* network order */

typedef struct {
    contact who;
    uint8_t token[TOKEN], token_size;
} candidate;

typedef struct {
    uint8_t target[ID_SIZE];
    uint32_t generation, count, in_flight, queries, value_count, width;
    bool is_active, is_dirty;
    uint8_t order[MAX_CANDIDATES];              /* indexes, closest first; nearness (64 bits of distance) in parallel */
    uint64_t nearness[MAX_CANDIDATES];
    uint8_t state[MAX_CANDIDATES];              /* by index, like the rest */
    uint32_t subnets[MAX_CANDIDATES];
    uint64_t values[MAX_VALUES];
    candidate candidates[MAX_CANDIDATES];
} lookup;

static asker net;
static contact buckets[ID_SIZE * 8][K];
static uint8_t fill[ID_SIZE * 8];
static int deepest;
static lookup *lookups;
static uint32_t *dirty, dirty_count, concurrency;
static uint64_t rng, finished, found_peers, values_total, queries_total;
static struct sockaddr_in entry;

static void remember(const contact *c)
{
    int depth = prefix_length(c->id, net.own_id);
    if (depth == ID_SIZE * 8)
        return;
    for (int i = 0; i < fill[depth]; i++)
        if (buckets[depth][i].ip == c->ip && buckets[depth][i].port == c->port)
            return;
    if (fill[depth] == K)
        return;
    buckets[depth][fill[depth]++] = *c;
    deepest = depth > deepest ? depth : deepest;
}

static uint32_t place_of(const lookup *l, uint64_t near)
{
    uint32_t low = 0, high = l->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (l->nearness[middle] < near)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_subnet(const lookup *l, uint32_t subnet)
{
    uint32_t hits = 0;
    for (uint32_t i = 0; i < l->count; i++)         /* without a way out, so that the compiler can use vectors */
        hits |= l->subnets[i] == subnet;
    return hits;
}

/* Take a candidate in, unless it is known, too far for a full list, or its subnet has one already. Ids that share 64
 * bits of their distance count as one. */
static void offer(lookup *l, const contact *c)
{
    uint64_t near = c->has_id ? load_be64(c->id) ^ load_be64(l->target) : ~0ull;
    uint32_t at = place_of(l, near), index = l->count, subnet = c->ip & htonl(0xffffff00);
    if ((at < l->count && l->nearness[at] == near) || has_subnet(l, subnet))
        return;
    if (index == MAX_CANDIDATES) {
        index = l->order[MAX_CANDIDATES - 1];
        if (at == MAX_CANDIDATES || l->state[index] != FRESH)
            return;
    } else {
        l->count++;
    }
    memmove(&l->order[at + 1], &l->order[at], l->count - 1 - at);
    memmove(&l->nearness[at + 1], &l->nearness[at], (l->count - 1 - at) * sizeof l->nearness[0]);
    l->order[at] = (uint8_t)index;
    l->nearness[at] = near;
    l->state[index] = FRESH;
    l->subnets[index] = subnet;
    l->candidates[index].who = *c;
    l->candidates[index].token_size = 0;
}

static void merge(lookup *l, const span *nodes)
{
    uint32_t total = nodes->size / COMPACT_NODE;
    for (uint32_t i = 0; i < total && i < MAX_NAMED; i++) {
        const uint8_t *node = nodes->data + i * COMPACT_NODE;
        contact c = {.has_id = true};
        memcpy(c.id, node, ID_SIZE);
        memcpy(&c.ip, node + ID_SIZE, 4);
        memcpy(&c.port, node + ID_SIZE + 4, 2);
        if (c.port && memcmp(c.id, net.own_id, ID_SIZE))
            offer(l, &c);
    }
}

static void merge_values(lookup *l, const span *values)
{
    const uint8_t *p = values->data, *end = p + values->size;
    span value;
    while (p && p < end && (p = scan_string(p, end, &value))) {
        uint64_t peer = 0;
        uint32_t i = 0;
        if (value.size != COMPACT_PEER || l->value_count == MAX_VALUES)
            continue;
        memcpy(&peer, value.data, COMPACT_PEER);
        while (i < l->value_count && l->values[i] != peer)
            i++;
        if (i == l->value_count)
            l->values[l->value_count++] = peer;
    }
}

static void mark_dirty(lookup *l)
{
    if (!l->is_dirty) {
        l->is_dirty = true;
        dirty[dirty_count++] = (uint32_t)(l - lookups);
    }
}

static void open_lookup(lookup *l)
{
    l->count = l->in_flight = l->queries = l->value_count = 0;
    l->width = WIDTH;
    l->is_active = true;
    random_id(&rng, l->target);
    uint64_t target = load_be64(l->target);
    const contact *best[SEEDS];
    uint64_t near[SEEDS];
    uint32_t held = 0;
    for (int depth = 0; depth <= deepest; depth++)
        for (int i = 0; i < fill[depth]; i++) {
            const contact *c = &buckets[depth][i];
            uint64_t nearness = load_be64(c->id) ^ target;
            uint32_t at = held;
            while (at && nearness < near[at - 1]) {
                if (at < SEEDS) {
                    near[at] = near[at - 1];
                    best[at] = best[at - 1];
                }
                at--;
            }
            if (at < SEEDS) {
                near[at] = nearness;
                best[at] = c;
                held += held < SEEDS;
            }
        }
    for (uint32_t i = 0; i < held; i++)
        offer(l, best[i]);
    if (!held) {
        contact first = {.ip = entry.sin_addr.s_addr, .port = entry.sin_port};
        offer(l, &first);
    }
    mark_dirty(l);
}

static void finish_lookup(lookup *l)
{
    l->is_active = false;
    l->generation++;
    finished++;
    values_total += l->value_count;
    found_peers += l->value_count > 0;
    queries_total += l->queries;
}

static void on_outcome(asker *a, const transaction *t, const message *m)
{
    lookup *l = &lookups[t->owner];
    (void)a;
    if (m) {
        contact c = {.ip = t->ip, .port = t->port, .has_id = true};
        memcpy(c.id, m->id.data, ID_SIZE);
        remember(&c);
    }
    if (!l->is_active || l->generation != t->owner_generation)
        return;
    l->in_flight--;
    l->state[t->place] = m ? ANSWERED : FAILED;
    if (m) {
        candidate *from = &l->candidates[t->place];
        from->token_size = m->token.size <= TOKEN ? (uint8_t)m->token.size : 0;
        memcpy(from->token, m->token.data ? m->token.data : from->token, from->token_size);
        merge(l, &m->nodes);
        merge_values(l, &m->values);
    }
    mark_dirty(l);
}

static void ask_one(lookup *l, uint32_t index)
{
    candidate *c = &l->candidates[index];
    transaction *t = open_transaction(&net, c->who.ip, c->who.port);
    t->owner = (uint32_t)(l - lookups);
    t->owner_generation = l->generation;
    t->place = index;
    l->state[index] = ASKED;
    l->in_flight++;
    l->queries++;
    send_question(&net, t, true, l->target);
}

/* Ask up to alpha of the closest; false when they have all answered. */
static bool step(lookup *l)
{
    uint32_t seen = 0, failed = 0, waiting = 0;
    for (uint32_t i = 0; i < l->count && seen < l->width; i++) {
        uint32_t index = l->order[i];
        if (l->state[index] == FAILED) {
            if (++failed == 2)
                l->width = WIDE_WIDTH;
            continue;
        }
        seen++;
        if (l->state[index] == FRESH && l->in_flight < ALPHA)
            ask_one(l, index);
        waiting += l->state[index] != ANSWERED;
    }
    return waiting;
}

static void step_dirty(asker *a)
{
    (void)a;
    while (dirty_count) {
        lookup *l = &lookups[dirty[--dirty_count]];
        l->is_dirty = false;
        if (l->is_active && !step(l)) {
            finish_lookup(l);
            open_lookup(l);
        }
    }
}

/* Until so many lookups have ended, or the time is over. */
static void run_until(uint64_t enough, int64_t end)
{
    while (finished < enough && net.now < end)
        turn(&net, step_dirty);
}

static void warm_up(void)
{
    open_lookup(&lookups[0]);
    step_dirty(&net);
    flush_questions(&net);
    run_until(WARM_UP_LOOKUPS, net.now + 5000000000);
    if (finished < WARM_UP_LOOKUPS) {
        fprintf(stderr, "the network does not answer\n");
        exit(1);
    }
    for (uint32_t i = 1; i < concurrency; i++)
        open_lookup(&lookups[i]);
    step_dirty(&net);
    flush_questions(&net);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s IP:PORT CONCURRENCY SECONDS SEED\n", argv[0]);
        return 2;
    }
    entry = parse_address(argv[1]);
    concurrency = (uint32_t)atoi(argv[2]);
    rng = strtoull(argv[4], NULL, 10);
    if (!concurrency || concurrency > SLAB / ALPHA / 2) {
        fprintf(stderr, "CONCURRENCY is 1 to %d\n", SLAB / ALPHA / 2);
        return 2;
    }
    lookups = calloc(concurrency, sizeof *lookups);
    dirty = calloc(concurrency, sizeof *dirty);
    if (!lookups || !dirty)
        die("calloc");
    open_asker(&net, rng, 2000000000);
    warm_up();
    uint64_t answered = net.answered;
    finished = found_peers = values_total = queries_total = 0;
    double cpu = own_cpu();
    int64_t start = net.now = now_ns();
    run_until(UINT64_MAX, start + (int64_t)(atof(argv[3]) * 1e9));
    cpu = own_cpu() - cpu;
    printf("{\"lookups\": %lu, \"rpcs\": %lu, \"queries\": %lu, \"found\": %lu, \"values\": %lu, \"timeouts\": %lu, "
           "\"kernel_drops\": %u, \"wall_s\": %.6f, \"cpu_s\": %.6f}\n",
           finished, net.answered - answered, queries_total, found_peers, values_total, net.timeouts, net.kernel_drops,
           (double)(net.now - start) * 1e-9, cpu);
    return 0;
}
