/* The reply server: what a C program pays to answer one query, with no DHT behind it.
 *
 *   reply_server IP:PORT PING FIND_NODE MISS HIT ITEM replies of these sizes, parsed for method and `t`
 *   reply_server IP:PORT bare SIZE                    the same loop without looking: the validity rule's yardstick
 *
 * epoll, then up to 8 recvmmsg(64), each answered by one sendmmsg. A get_peers for an info_hash that begins with
 * HIT_PREFIX gets the reply of size HIT, every get that of size ITEM. Prints one JSON line when it is up and runs until a signal.
 */
#include "hit.h"
#include "udp.h"
#include <sys/epoll.h>

enum { PING, FIND_NODE, MISS, HIT, ITEM, KINDS, DRAINS = 8 };

typedef struct { uint8_t data[DATAGRAM]; uint32_t size; } body;     /* all but `t`, which follows */

static const uint8_t own_id[ID_SIZE] = "reply server in C --";
static body bodies[KINDS];

/* A body that, with a 4-byte `t` behind it, makes a reply of exactly `size` bytes (the pad's digits allowing). */
static void make_body(body *b, uint32_t size)
{
    static const uint8_t pad[DATAGRAM];
    uint8_t *p = put_text(b->data, "d1:rd2:id20:");
    p = put_bytes(p, own_id, ID_SIZE);
    uint32_t used = (uint32_t)(p - b->data) + sizeof("e1:t4:tttt1:y1:re") - 1, key = sizeof("1:p") - 1;
    if (size >= used + key + 2) {
        uint32_t left = size - used - key, digits = left > 1004 ? 5 : left > 103 ? 4 : left > 12 ? 3 : 2;
        p = put_text(p, "1:p");
        p = put_string(p, pad, left - digits);
    }
    b->size = (uint32_t)(put_text(p, "e1:t") - b->data);
}

static uint32_t answer(const uint8_t *query, uint32_t size, uint8_t *out)
{
    message m;
    if (!parse_message(query, size, &m) || m.kind != 'q' || !m.tid.size || m.tid.size > 32)
        return 0;
    int kind = m.method.size == 4 ? PING : MISS;
    if (m.method.size == 9 && m.method.data[0] == 'f')
        kind = FIND_NODE;
    else if (m.method.size == 3)
        kind = ITEM;
    else if (kind == MISS && m.target.size == ID_SIZE && is_hit(m.target.data))
        kind = HIT;
    uint8_t *p = put_bytes(out, bodies[kind].data, bodies[kind].size);
    p = put_string(p, m.tid.data, m.tid.size);
    return (uint32_t)(put_text(p, "1:y1:re") - out);
}

static void serve(int fd, uint32_t bare_size)
{
    static batch in, out;
    prepare_batch(&in, false);
    prepare_batch(&out, false);
    struct epoll_event event = {.events = EPOLLIN};
    int poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    for (;;) {
        epoll_wait(poller, &event, 1, -1);
        for (int drain = 0, count = BATCH; drain < DRAINS && count == BATCH; drain++) {
            count = receive_batch(fd, &in);
            for (int i = 0; i < count; i++) {
                uint32_t size = bare_size ? bare_size : answer(in.data[i], in.messages[i].msg_len, reserve(&out));
                if (size)
                    commit(&out, size, &in.peers[i], 0);
            }
            flush(fd, &out);
        }
    }
}

int main(int argc, char **argv)
{
    bool is_bare = argc == 4 && !strcmp(argv[2], "bare");
    if (!is_bare && argc != 2 + KINDS) {
        fprintf(stderr, "usage: %s IP:PORT (bare SIZE | PING FIND_NODE MISS HIT ITEM)\n", argv[0]);
        return 2;
    }
    for (int kind = 0; !is_bare && kind < KINDS; kind++)
        make_body(&bodies[kind], (uint32_t)atoi(argv[2 + kind]));
    int fd = open_socket(parse_address(argv[1]), false);
    printf("{\"endpoint\": \"%s\"}\n", argv[1]);
    fflush(stdout);
    serve(fd, is_bare ? (uint32_t)atoi(argv[3]) : 0);
}
